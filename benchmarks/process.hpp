// SPDX-License-Identifier: Apache-2.0
//
// Another program, run under a time limit and listened to line by line.
#pragma once
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <functional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace tessera::benchmarks {

struct Ended {
  double seconds = 0;
  int status = -1;  // what it returned; -1 if a signal ended it
  bool is_killed = false;
};

namespace detail {

// A program that runs in a group of its own, and both of its outputs.
struct Running {
  pid_t child = -1;
  int output = -1;  // to be closed by whoever reads it
};

inline Running start_process(const std::vector<std::string>& command) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error(std::strerror(errno));
  std::vector<char*> arguments;
  for (const std::string& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  const pid_t child = fork();
  if (child < 0) throw std::runtime_error(std::strerror(errno));
  if (child == 0) {
    setpgid(0, 0);
    dup2(ends[1], STDOUT_FILENO);
    dup2(ends[1], STDERR_FILENO);
    execvp(arguments[0], arguments.data());
    _exit(127);
  }
  setpgid(child, child);  // whichever of the two comes first
  close(ends[1]);
  return {child, ends[0]};
}

}  // namespace detail

// Both of the program's outputs go to `listen`, line by line, with the seconds since it began.  It
// is killed when the limit is over; its children too, so long as they stay in its group.
// Throws std::runtime_error where it can not be started at all; an unknown program returns 127.
inline Ended run_process(const std::vector<std::string>& command, double limit,
                         const std::function<void(double, std::string_view)>& listen) {
  using Clock = std::chrono::steady_clock;
  const auto begin = Clock::now();
  const auto seconds = [&] { return std::chrono::duration<double>(Clock::now() - begin).count(); };
  const detail::Running program = detail::start_process(command);
  Ended ended;
  std::string line;
  char buffer[1 << 16];
  while (true) {
    const double left = limit - seconds();
    if (left <= 0 && !ended.is_killed) {
      ended.is_killed = true;
      kill(-program.child, SIGKILL);
    }
    pollfd output{program.output, POLLIN, 0};
    // Once killed, only what it had already said is left to read.
    const int timeout = ended.is_killed ? 1000 : static_cast<int>(left * 1000) + 1;
    const int ready = poll(&output, 1, timeout);
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0 && ended.is_killed) break;
    if (ready <= 0) continue;
    const ssize_t count = read(program.output, buffer, sizeof buffer);
    if (count <= 0) break;
    for (const char c : std::string_view(buffer, static_cast<std::size_t>(count))) {
      if (c != '\n') {
        line += c;
        continue;
      }
      listen(seconds(), line);
      line.clear();
    }
  }
  if (!line.empty()) listen(seconds(), line);
  close(program.output);
  int status = 0;
  while (waitpid(program.child, &status, 0) < 0 && errno == EINTR) continue;
  ended.seconds = seconds();
  if (WIFEXITED(status)) ended.status = WEXITSTATUS(status);
  return ended;
}

}  // namespace tessera::benchmarks
