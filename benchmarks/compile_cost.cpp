// SPDX-License-Identifier: Apache-2.0
//
// What including tessera costs: seconds and peak memory to compile a file that does nothing else,
// beside the same for headers that everyone knows.
//
//   compile_cost [ROUNDS] [COMPILER]
//
// The files are compiled in turn, round after round, so that a busy machine slows all alike; the
// least of each is shown, and the ratio to <Eigen/Dense>.
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace {

struct Candidate {
  std::string name;
  std::string source;
  double seconds = 1e9;
  long kilobytes = 0;
  bool compiles = true;
};

// Compiles one file; its children's usage tells the peak memory.
bool compile(const std::string& compiler, const std::string& path, Candidate& candidate) {
  const auto begin = std::chrono::steady_clock::now();
  const pid_t child = fork();
  if (child == 0) {
    const int null = open("/dev/null", O_WRONLY);
    dup2(null, STDERR_FILENO);
    const std::string include = std::string("-I") + TESSERA_SOURCE_DIR + "/include";
    execlp(compiler.c_str(), compiler.c_str(), "-std=c++20", "-O2", "-I/usr/include/eigen3",
           include.c_str(), "-c", path.c_str(), "-o", "/dev/null", nullptr);
    _exit(127);
  }
  int status = 0;
  rusage usage{};
  wait4(child, &status, 0, &usage);
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) return false;
  if (seconds < candidate.seconds) candidate.seconds = seconds;
  if (usage.ru_maxrss > candidate.kilobytes) candidate.kilobytes = usage.ru_maxrss;
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  const int rounds = argc > 1 ? std::atoi(argv[1]) : 5;
  const std::string compiler = argc > 2 ? argv[2] : TESSERA_COMPILER;
  std::vector<Candidate> candidates{
      {"an empty file", ""},
      {"<string>", "#include <string>\n"},
      {"tessera/mesh.hpp, sharding.hpp",
       "#include \"tessera/mesh.hpp\"\n#include \"tessera/sharding.hpp\"\n"},
      {"tessera/solver.hpp", "#include \"tessera/solver.hpp\"\n"},
      {"tessera/tessera.hpp", "#include \"tessera/tessera.hpp\"\n"},
      {"<Eigen/Dense>", "#include <Eigen/Dense>\n"},
      {"<boost/graph/adjacency_list.hpp>", "#include <boost/graph/adjacency_list.hpp>\n"},
  };
  const auto directory = std::filesystem::temp_directory_path() /
                         ("tessera_compile_cost_" + std::to_string(getpid()));
  std::filesystem::create_directories(directory);
  for (int round = 0; round < rounds; ++round)
    for (std::size_t i = 0; i < candidates.size(); ++i) {
      const std::string path = (directory / (std::to_string(i) + ".cpp")).string();
      std::ofstream(path) << candidates[i].source;
      candidates[i].compiles = compile(compiler, path, candidates[i]);
    }
  std::filesystem::remove_all(directory);

  const double reference = candidates[5].compiles ? candidates[5].seconds : 0;
  std::printf("%s -std=c++20 -O2, least of %d\n", compiler.c_str(), rounds);
  std::printf("%-34s %9s %10s %14s\n", "a file that includes", "seconds", "peak MiB",
              "/ <Eigen/Dense>");
  for (const Candidate& candidate : candidates) {
    if (!candidate.compiles) {
      std::printf("%-34s does not compile here\n", candidate.name.c_str());
      continue;
    }
    std::printf("%-34s %9.2f %10.0f", candidate.name.c_str(), candidate.seconds,
                static_cast<double>(candidate.kilobytes) / 1024);
    if (reference > 0) std::printf(" %14.2f", candidate.seconds / reference);
    std::printf("\n");
  }
}
