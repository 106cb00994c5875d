// SPDX-License-Identifier: Apache-2.0
//
// Shared by all programs: reading arguments, exit codes, Ctrl-C, errors.
#pragma once
#include <CLI/CLI.hpp>

#include <cerrno>
#include <charconv>
#include <cmath>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <exception>
#include <iostream>
#include <limits>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tessera/core/error.hpp"
#include "tessera/core/number.hpp"
#include "tessera/core/wide.hpp"
#include "tessera/cost/alpa.hpp"
#include "tessera/mesh/mesh.hpp"
#include "tessera/solver/options.hpp"

namespace tessera::examples {

enum class ExitCode : int {
  solved = 0,
  bad_input = 1,
  infeasible = 2,
  nothing_found = 3,
  differs = 4,  // the execution differs from the plan
};

inline std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  while (true) {
    const std::size_t at = text.find(separator);
    parts.push_back(text.substr(0, at));
    if (at == std::string_view::npos) return parts;
    text.remove_prefix(at + 1);
  }
}

// All functions that parse throw InputError, which names the flag.

// No value where the text is not an integer.
inline std::optional<Extent> parse_integer(const std::string& flag, std::string_view text) {
  Extent value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error == std::errc::result_out_of_range)
    throw InputError(flag, excerpt(text) + " does not fit in 64 bits");
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// From `least` to `most`; `or_else` names the alternatives in the message.
inline Extent parse_count(const std::string& flag, std::string_view text, Extent least, Extent most,
                          const std::string& or_else = "") {
  const std::optional<Extent> value = parse_integer(flag, text);
  if (!value || *value < least || *value > most)
    throw InputError(flag, excerpt(text) + " is no integer from " + std::to_string(least) + " to " +
                               std::to_string(most) + or_else);
  return *value;
}

// "2x4".
inline DynamicMesh parse_mesh(const std::string& text) {
  std::vector<Extent> extents;
  for (const std::string_view part : split(text, 'x')) {
    const std::optional<Extent> extent = parse_integer("--mesh", part);
    if (!extent)
      throw InputError("--mesh",
                       excerpt(text) + " is no mesh: give the devices along each axis, as 2x4");
    extents.push_back(*extent);
  }
  try {
    return DynamicMesh(extents);
  } catch (const InvalidMesh& error) {
    throw InputError("--mesh", error.what());
  }
}

// "1,0.01", one number per mesh axis.
inline cost::Alpa::Coefficients parse_coefficients(const std::string& flag, const std::string& text,
                                                   std::size_t axes) {
  const auto parts = split(text, ',');
  if (parts.size() != axes)
    throw InputError(flag, excerpt(text) +
                               " is not one number for each axis of the mesh, which has " +
                               std::to_string(axes));
  cost::Alpa::Coefficients result;
  for (const std::string_view part : parts) {
    const auto value = parse_decimal(part);
    if (!value)
      throw InputError(flag,
                       excerpt(part) + " is no decimal number from 0 on, of at most 18 digits");
    result.push_back(*value);
  }
  return result;
}

// "1000", "16GiB", "512 MB".
inline Extent parse_bytes(const std::string& flag, const std::string& text) {
  struct Unit {
    std::string_view name;
    Extent bytes;
  };
  constexpr Extent k = 1024;
  constexpr Unit units[] = {{"KiB", k},
                            {"MiB", k * k},
                            {"GiB", k * k * k},
                            {"TiB", k * k * k * k},
                            {"kB", 1000},
                            {"KB", 1000},
                            {"MB", 1'000'000},
                            {"GB", 1'000'000'000},
                            {"TB", 1'000'000'000'000},
                            {"B", 1},
                            {"", 1}};
  constexpr Extent most = std::numeric_limits<Extent>::max();
  if (text.find_first_not_of("0123456789") == std::string::npos && !text.empty())
    return parse_count(flag, text, 0, most);
  for (const Unit& unit : units) {
    std::string_view number = text;
    if (!number.ends_with(unit.name)) continue;
    number.remove_suffix(unit.name.size());
    while (!number.empty() && number.back() == ' ') number.remove_suffix(1);
    const auto value = parse_decimal(number);
    if (!value) break;
    const Wide bytes = Wide(value->numerator) * unit.bytes / value->denominator;
    if (bytes > most) throw InputError(flag, excerpt(text) + " does not fit in 64 bits");
    return static_cast<Extent>(bytes);
  }
  throw InputError(flag, excerpt(text) + " is no number of bytes, such as 1000, 16GiB or 512MB");
}

// "60%", "7.5%": more than nothing.
inline Decimal parse_share(const std::string& flag, std::string_view text) {
  const auto value = text.ends_with('%') ? parse_decimal(text.substr(0, text.size() - 1))
                                         : std::nullopt;
  if (!value || value->numerator <= 0)
    throw InputError(flag, excerpt(text) + " is no share, such as 60%");
  return *value;
}

// "0.01%": a share of the cost, as solver::Options has it.
inline double parse_gap(const std::string& flag, std::string_view text) {
  const Decimal share = parse_share(flag, text);
  return static_cast<double>(share.numerator) / static_cast<double>(share.denominator) / 100;
}

// "60", "0.5", "1e-5": a number, not negative; `what` it is, for the message.
inline double parse_not_negative(const std::string& flag, const std::string& text,
                                 const char* what) {
  double number = 0;
  const char* const last = text.data() + text.size();
  const auto [end, error] = tessera::read_double(text.data(), last, number);
  if (error != std::errc() || end != last || !std::isfinite(number) || number < 0)
    throw InputError(flag, excerpt(text) + " is no number " + what);
  return number;
}
inline double parse_seconds(const std::string& flag, const std::string& text) {
  return parse_not_negative(flag, text, "of seconds");
}
inline double parse_tolerance(const std::string& flag, const std::string& text) {
  return parse_not_negative(flag, text, "that is 0 or more");
}

inline std::uint64_t parse_seed(const std::string& flag, const std::string& text) {
  std::uint64_t seed = 0;
  const char* const last = text.data() + text.size();
  const auto [end, error] = std::from_chars(text.data(), last, seed);
  if (error != std::errc() || end != last)
    throw InputError(flag, excerpt(text) + " is no integer from 0 to 18446744073709551615");
  return seed;
}

// Ctrl-C ends the search, not the program: the best answer so far is still printed.  A second one
// ends the program.
inline solver::Cancellation cancelled_by_interrupt() {
  static solver::Cancellation cancellation;
  std::signal(SIGINT, [](int) {
    cancellation.cancel();
    std::signal(SIGINT, SIG_DFL);
  });
  return cancellation;
}

inline int fail(const std::string& message) {
  std::fprintf(stderr, "error: %s\n", message.c_str());
  return static_cast<int>(ExitCode::bad_input);
}

// A whole program: describes its arguments, parses them, runs, and turns every error into one line
// on standard error and an exit code, output that can not be written included.
template<class Arguments>
int run_program(int argc, char** argv, void (*describe)(CLI::App&, Arguments&),
                ExitCode (*run)(const Arguments&)) {
  CLI::App app;
  Arguments arguments;
  describe(app, arguments);
  int code = 0;
  try {
    app.parse(argc, argv);
    code = static_cast<int>(run(arguments));
  } catch (const CLI::CallForHelp& help) {
    code = app.exit(help);
  } catch (const CLI::CallForVersion& version) {
    code = app.exit(version);
  } catch (const CLI::ParseError& error) {
    return fail(std::string(error.what()) + " (see --help)");
  } catch (const std::bad_alloc&) {
    return fail("out of memory");
  } catch (const std::exception& error) {
    return fail(error.what());
  }
  errno = 0;
  std::cout.flush();
  if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0 || !std::cout)
    return fail(std::string("standard output: ") +
                (errno != 0 ? std::strerror(errno) : "can not be written"));
  return code;
}

}  // namespace tessera::examples
