// SPDX-License-Identifier: Apache-2.0
//
// The cost of compiling against Tessera: user CPU seconds and peak memory, in multiples of E, the
// cost of a file that includes <Eigen/Dense> and nothing else.
//
//   compile_cost [--rounds N] [--compiler CXX] [--builds]
//
// Measured are files that include headers, files that also call solve(), plan() or plan_pipeline(),
// both header-only and against tessera::compiled, and the compiled library itself.  The files are
// compiled in turn, round after round, so that a busy machine slows all alike; the least of each
// counts.  With --builds the builds behind examples/run and tests/run follow, once each, in a
// temporary folder.
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

namespace {

namespace fs = std::filesystem;

struct Usage {
  bool succeeded = false;
  double seconds = 0;  // user CPU time of the process and all that it waited for
  double mebibytes = 0;
};

Usage run(const std::vector<std::string>& command) {
  std::vector<char*> words;
  for (const std::string& word : command) words.push_back(const_cast<char*>(word.c_str()));
  words.push_back(nullptr);
  const pid_t child = fork();
  if (child == 0) {
    const int null = open("/dev/null", O_WRONLY);
    dup2(null, STDOUT_FILENO);
    dup2(null, STDERR_FILENO);
    execvp(words[0], words.data());
    _exit(127);
  }
  int status = 0;
  rusage usage{};
  if (child < 0 || wait4(child, &status, 0, &usage) != child) return {};
  return {WIFEXITED(status) && WEXITSTATUS(status) == 0,
          static_cast<double>(usage.ru_utime.tv_sec) +
              static_cast<double>(usage.ru_utime.tv_usec) / 1e6,
          static_cast<double>(usage.ru_maxrss) / 1024};
}

enum class Mode { plain, header_only, compiled };

struct Candidate {
  std::string name;
  Mode mode;
  std::string source;
  Usage least{};
};

std::vector<std::string> compile_command(const std::string& compiler, Mode mode,
                                         const std::string& path) {
  std::vector<std::string> command{compiler, "-std=c++20", "-O2", "-I/usr/include/eigen3",
                                   std::string("-I") + TESSERA_SOURCE_DIR + "/include"};
  if (mode == Mode::compiled) command.emplace_back("-DTESSERA_SEPARATE_COMPILATION");
  command.insert(command.end(), {"-c", path, "-o", "/dev/null"});
  return command;
}

constexpr const char* solve_source = R"(#include "tessera/solver.hpp"
tessera::solver::Result call(const tessera::solver::Problem& problem) {
  return tessera::solver::solve(problem);
}
)";

constexpr const char* plan_source = R"(#include "tessera/cost.hpp"
#include "tessera/plan.hpp"
tessera::plan::Plan call(const tessera::graph::Graph& graph) {
  return tessera::plan::plan(graph, tessera::Mesh<2, 4>(), tessera::cost::Alpa::with_defaults(2));
}
)";

constexpr const char* tessera_source = "#include \"tessera/tessera.hpp\"\n";

std::vector<Candidate> candidates() {
  return {
      {"<Eigen/Dense>", Mode::plain, "#include <Eigen/Dense>\n"},
      {"<string>", Mode::plain, "#include <string>\n"},
      {"<boost/graph/adjacency_list.hpp>", Mode::plain,
       "#include <boost/graph/adjacency_list.hpp>\n"},
      {"tessera/mesh.hpp, sharding.hpp", Mode::header_only,
       "#include \"tessera/mesh.hpp\"\n#include \"tessera/sharding.hpp\"\n"},
      {"tessera/solver.hpp", Mode::header_only, "#include \"tessera/solver.hpp\"\n"},
      {"tessera/tessera.hpp", Mode::header_only, tessera_source},
      {"a call of solve()", Mode::header_only, solve_source},
      {"a call of plan()", Mode::header_only, plan_source},
      {"tessera/fwd.hpp", Mode::compiled, "#include \"tessera/fwd.hpp\"\n"},
      {"tessera/tessera.hpp", Mode::compiled, tessera_source},
      {"a call of solve()", Mode::compiled, solve_source},
      {"a call of plan()", Mode::compiled, plan_source},
      {"the library: tessera/src.hpp", Mode::compiled, "#include \"tessera/src.hpp\"\n"},
  };
}

void measure(std::vector<Candidate>& files, int rounds, const std::string& compiler,
             const fs::path& folder) {
  for (int round = 0; round < rounds; ++round)
    for (Candidate& file : files) {
      const std::string path = (folder / "file.cpp").string();
      std::ofstream(path) << file.source;
      const Usage usage = run(compile_command(compiler, file.mode, path));
      if (!usage.succeeded) continue;
      file.least.seconds =
          file.least.succeeded ? std::min(file.least.seconds, usage.seconds) : usage.seconds;
      file.least.mebibytes = std::max(file.least.mebibytes, usage.mebibytes);
      file.least.succeeded = true;
    }
}

void print(const char* mode, const std::string& name, const Usage& usage, double eigen) {
  if (!usage.succeeded) {
    std::printf("%-12s %-34s does not compile here\n", mode, name.c_str());
    return;
  }
  std::printf("%-12s %-34s %8.2f %9.0f %7.1f\n", mode, name.c_str(), usage.seconds,
              usage.mebibytes, eigen > 0 ? usage.seconds / eigen : 0);
}

// Configures and builds from nothing, as examples/run and tests/run do, and reports the build.
Usage build(const std::string& compiler, const fs::path& folder, const std::string& tests,
            const std::vector<std::string>& targets) {
  fs::remove_all(folder);
  const bool configured =
      run({"cmake", "-S", TESSERA_SOURCE_DIR, "-B", folder.string(), "-G", "Ninja",
           "-DCMAKE_BUILD_TYPE=Release", "-DCMAKE_CXX_COMPILER=" + compiler,
           "-DTESSERA_BUILD_TESTS=" + tests})
          .succeeded;
  if (!configured) return {};
  std::vector<std::string> command{"cmake", "--build", folder.string()};
  if (!targets.empty()) command.emplace_back("--target");
  command.insert(command.end(), targets.begin(), targets.end());
  return run(command);
}

}  // namespace

int main(int argc, char** argv) {
  int rounds = 3;
  std::string compiler = TESSERA_COMPILER;
  bool builds = false;
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    if (argument == "--builds") {
      builds = true;
    } else if (argument == "--rounds" && i + 1 < argc) {
      rounds = std::max(1, std::atoi(argv[++i]));
    } else if (argument == "--compiler" && i + 1 < argc) {
      compiler = argv[++i];
    } else {
      std::fprintf(stderr, "usage: compile_cost [--rounds N] [--compiler CXX] [--builds]\n");
      return 1;
    }
  }
  const fs::path folder =
      fs::temp_directory_path() / ("tessera_compile_cost_" + std::to_string(getpid()));
  fs::create_directories(folder);
  std::vector<Candidate> files = candidates();
  measure(files, rounds, compiler, folder);
  const double eigen = files[0].least.succeeded ? files[0].least.seconds : 0;

  std::printf("%s -std=c++20 -O2, user CPU seconds, least of %d; E is the first row\n",
              compiler.c_str(), rounds);
  std::printf("%-12s %-34s %8s %9s %7s\n", "mode", "a file that includes or calls", "seconds",
              "peak MiB", "E");
  constexpr const char* modes[] = {"-", "header-only", "compiled"};
  for (const Candidate& file : files)
    print(modes[static_cast<int>(file.mode)], file.name, file.least, eigen);
  if (builds) {
    print("build", "behind examples/run",
          build(compiler, folder / "examples", "OFF", {"tessera-plan"}), eigen);
    print("build", "behind tests/run", build(compiler, folder / "tests", "ON", {}), eigen);
  }
  fs::remove_all(folder);
}
