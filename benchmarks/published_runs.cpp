// SPDX-License-Identifier: Apache-2.0
//
// published-runs: what we say that published training runs take, beside what they took.
//
// published_run.hpp reads runs, run_price.hpp prices them; here they are compared.  Runs of the
// same layers share their prices, and different ones are priced by all threads.
#include <rapidjson/document.h>
#include <rapidjson/error/en.h>
#include <rapidjson/prettywriter.h>
#include <rapidjson/stringbuffer.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdio>
#include <exception>
#include <map>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "command_line.hpp"
#include "run_price.hpp"
#include "tessera/io/file.hpp"
#include "tessera/report/text.hpp"

namespace {

using namespace tessera;
using benchmarks::LayerPrices;
using benchmarks::Run;
using benchmarks::RunPricer;
using benchmarks::RunReader;
using examples::ExitCode;
using Json = rapidjson::Value;

constexpr const char* about =
    R"(Prices published training runs as they were configured, and compares with what was measured.

Reads {"runs": [...]}: per run its model, cluster, GPUs, batch and microbatch, parallelism, schedule
and recomputation, and how long an iteration took.  Prints predicted and measured seconds, the share
of runs within 15 %, and Kendall's tau of each compare_group; runs that can not be priced are listed
with the reason.)";

constexpr const char* epilogue = R"(Examples:
  published-runs published_runs.json
  published-runs published_runs.json --json
  published-runs published_runs.json --scatter runs.svg)";

struct Arguments {
  std::string file, scatter;
  bool json = false;
};

void describe(CLI::App& app, Arguments& arguments) {
  app.description(about);
  app.footer(epilogue);
  app.add_option("FILE", arguments.file, "JSON file of runs")->required();
  app.add_flag("--json", arguments.json, "print one JSON object instead of a table");
  app.add_option("--scatter", arguments.scatter,
                 "also write a picture there, predicted against measured");
}

// --- What comes of it ----------------------------------------------------------------------------

struct Priced {
  Run run;
  double predicted = 0;
  double ratio() const { return predicted / run.measured; }
};

struct Results {
  std::vector<Priced> priced;
  std::vector<std::pair<std::string, std::string>> left_out;  // id, reason

  double share_within(double margin) const {
    if (priced.empty()) return 0;
    const auto count = std::count_if(priced.begin(), priced.end(), [&](const Priced& run) {
      return std::abs(run.ratio() - 1) <= margin;
    });
    return static_cast<double>(count) / static_cast<double>(priced.size());
  }

  // Of each group of two and more: the share of pairs in the same order, less that of the others.
  std::map<std::string, double> taus() const {
    std::map<std::string, std::vector<const Priced*>> groups;
    for (const Priced& run : priced)
      if (!run.run.group.empty()) groups[run.run.group].push_back(&run);
    std::map<std::string, double> taus;
    for (const auto& [name, runs] : groups) {
      if (runs.size() < 2) continue;
      double sum = 0, pairs = 0;
      for (std::size_t i = 0; i < runs.size(); ++i)
        for (std::size_t j = 0; j < i; ++j) {
          const double order = (runs[i]->predicted - runs[j]->predicted) *
                               (runs[i]->run.measured - runs[j]->run.measured);
          sum += order > 0 ? 1 : order < 0 ? -1 : 0;
          ++pairs;
        }
      taus[name] = sum / pairs;
    }
    return taus;
  }
};

// Prices of layers that runs ask for, each once, or why there are none.
class LayerStore {
 public:
  void ask(const Run& run) {
    const RunPricer pricer(run);
    wanted_.try_emplace(pricer.layers_key(), Entry{run, {}, {}});
  }

  // By all threads.
  void price() {
    std::vector<Entry*> entries;
    for (auto& [key, entry] : wanted_) entries.push_back(&entry);
    std::atomic<std::size_t> next = 0;
    const auto work = [&] {
      for (std::size_t i = next++; i < entries.size(); i = next++) price(*entries[i]);
    };
    std::vector<std::thread> others;
    for (unsigned i = 1; i < std::thread::hardware_concurrency(); ++i) others.emplace_back(work);
    work();
    for (std::thread& other : others) other.join();
  }

  // Throws what pricing them threw.
  const LayerPrices& of(const RunPricer& pricer) const {
    const Entry& entry = wanted_.at(pricer.layers_key());
    if (entry.error) std::rethrow_exception(entry.error);
    return entry.prices;
  }

 private:
  struct Entry {
    Run run;
    LayerPrices prices;
    std::exception_ptr error;
  };
  static void price(Entry& entry) {
    try {
      entry.prices = RunPricer(entry.run).layers();
    } catch (...) {
      entry.error = std::current_exception();
    }
  }

  std::map<std::string, Entry> wanted_;
};

Results price_all(const Json& runs) {
  Results results;
  std::vector<Run> read;
  LayerStore store;
  const auto or_leave_out = [&](const std::string& id, auto&& attempt) {
    try {
      attempt();
    } catch (const std::exception& reason) {
      results.left_out.emplace_back(id, reason.what());
    }
  };
  for (const Json& json : runs.GetArray()) {
    const RunReader reader(json);
    or_leave_out(reader.id(), [&] {
      const Run run = reader.read();
      store.ask(run);
      read.push_back(run);
    });
  }
  store.price();
  for (const Run& run : read)
    or_leave_out(run.id, [&] {
      const RunPricer pricer(run);
      results.priced.push_back({run, pricer.seconds(store.of(pricer))});
    });
  return results;
}

std::string number_text(double number, int places) {
  char text[64];
  std::snprintf(text, sizeof text, "%.*f", places, number);
  return text;
}

void print_table(const Results& results) {
  report::Columns rows;
  rows.add({"run", "predicted s", "measured s", "predicted / measured"});
  for (const Priced& run : results.priced)
    rows.add({run.run.id, number_text(run.predicted, 3), number_text(run.run.measured, 3),
              number_text(run.ratio(), 3)});
  std::printf("%s", rows.text("").c_str());
  std::printf("\n%zu runs priced, %.1f %% of them within 15 %%\n", results.priced.size(),
              100 * results.share_within(0.15));
  report::Columns taus;
  for (const auto& [group, tau] : results.taus()) taus.add({group, number_text(tau, 3)});
  if (!taus.empty()) std::printf("\nKendall's tau by compare_group\n%s", taus.text().c_str());
  if (results.left_out.empty()) return;
  report::Columns left_out;
  for (const auto& [id, reason] : results.left_out) left_out.add({id, reason});
  std::printf("\n%zu runs not priced\n%s", results.left_out.size(), left_out.text().c_str());
}

void print_json(const Results& results) {
  rapidjson::StringBuffer buffer;
  rapidjson::PrettyWriter<rapidjson::StringBuffer> json(buffer);
  const auto real = [&](const char* name, double value) {
    json.Key(name);
    json.Double(value);
  };
  const auto text = [&](const char* name, const std::string& value) {
    json.Key(name);
    json.String(value.c_str());
  };
  json.StartObject();
  json.Key("runs");
  json.StartArray();
  for (const Priced& run : results.priced) {
    json.StartObject();
    text("id", run.run.id);
    real("predicted_s", run.predicted);
    real("measured_s", run.run.measured);
    real("ratio", run.ratio());
    json.EndObject();
  }
  json.EndArray();
  real("share_within_15_percent", results.share_within(0.15));
  json.Key("kendall_tau");
  json.StartObject();
  for (const auto& [group, tau] : results.taus()) real(group.c_str(), tau);
  json.EndObject();
  json.Key("not_priced");
  json.StartArray();
  for (const auto& [id, reason] : results.left_out) {
    json.StartObject();
    text("id", id);
    text("reason", reason);
    json.EndObject();
  }
  json.EndArray();
  json.EndObject();
  std::printf("%s\n", buffer.GetString());
}

// Predicted against measured seconds, both by powers of ten, with lines where they are equal and 15
// % apart.
std::string scatter(const Results& results) {
  constexpr double size = 600, margin = 40;
  double low = 1e9, high = 1e-9;
  for (const Priced& run : results.priced)
    for (const double seconds : {run.predicted, run.run.measured}) {
      low = std::min(low, std::floor(std::log10(seconds)));
      high = std::max(high, std::ceil(std::log10(seconds)));
    }
  if (low >= high) high = low + 1;
  const auto place = [&](double seconds) {
    return margin + (std::log10(seconds) - low) / (high - low) * size;
  };
  const auto y = [&](double at) { return size + 2 * margin - at; };
  std::string svg =
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"680\" height=\"680\" "
      "font-family=\"sans-serif\" font-size=\"11\">\n";
  const auto line = [&](double factor, const char* colour) {
    const double from = std::pow(10, low), to = std::pow(10, high);
    svg += "<line x1=\"" + number_text(place(from), 1) + "\" y1=\"" +
           number_text(y(place(from * factor)), 1) + "\" x2=\"" + number_text(place(to), 1) +
           "\" y2=\"" + number_text(y(place(to * factor)), 1) + "\" stroke=\"" + colour + "\"/>\n";
  };
  line(1, "black");
  line(1.15, "silver");
  line(0.85, "silver");
  for (double power = low; power <= high; ++power) {
    const double at = place(std::pow(10, power));
    svg += "<text x=\"" + number_text(at, 1) + "\" y=\"670\">" +
           number_text(std::pow(10, power), power < 0 ? static_cast<int>(-power) : 0) +
           "</text>\n<text x=\"4\" y=\"" + number_text(y(at), 1) + "\">" +
           number_text(std::pow(10, power), power < 0 ? static_cast<int>(-power) : 0) + "</text>\n";
  }
  svg +=
      "<text x=\"260\" y=\"655\">measured, seconds</text>\n"
      "<text x=\"4\" y=\"20\">predicted, seconds</text>\n";
  for (const Priced& run : results.priced)
    svg += "<circle r=\"3\" fill=\"steelblue\" fill-opacity=\"0.6\" cx=\"" +
           number_text(place(run.run.measured), 1) + "\" cy=\"" +
           number_text(y(place(run.predicted)), 1) + "\"><title>" + run.run.id +
           "</title></circle>\n";
  return svg + "</svg>\n";
}

ExitCode run(const Arguments& arguments) {
  if (!arguments.scatter.empty()) io::check_writable(arguments.scatter);
  const std::string text = io::read_file(arguments.file);
  rapidjson::Document document;
  document.Parse(text.data(), text.size());
  if (document.HasParseError())
    throw InputError(arguments.file, "offset " + std::to_string(document.GetErrorOffset()) + ": " +
                                         rapidjson::GetParseError_En(document.GetParseError()));
  if (!document.IsObject() || !document.HasMember("runs") || !document["runs"].IsArray())
    throw InputError(arguments.file, "expected an object with a list \"runs\"");
  const Results results = price_all(document["runs"]);
  arguments.json ? print_json(results) : print_table(results);
  if (!arguments.scatter.empty()) io::write_file(arguments.scatter, scatter(results));
  return ExitCode::solved;
}

}  // namespace

int main(int argc, char** argv) { return examples::run_program(argc, argv, describe, run); }
