# SPDX-License-Identifier: Apache-2.0
# Sourced by examples/run and tests/run: sees that what a build needs is there.
#
#   need WHAT...    each of: build (compiler, CMake, Ninja, libraries), test (doctest, Clang, MPI)
#
# Installs what is missing where it can (apt-get, as root or by sudo), and otherwise says exactly
# what to install.

apt_build="g++ cmake ninja-build libboost-dev rapidjson-dev libcli11-dev libeigen3-dev"
apt_test="doctest-dev clang libclang-rt-dev libopenmpi-dev openmpi-bin"
dnf_build="gcc-c++ cmake ninja-build boost-devel rapidjson-devel cli11-devel eigen3-devel"
dnf_test="doctest-devel clang compiler-rt openmpi-devel"
brew_build="cmake ninja boost rapidjson cli11 eigen"
brew_test="doctest open-mpi"

has_program() { command -v "$1" >/dev/null 2>&1; }

# Whether some C++ compiler here finds a header.
has_header() {
  for compiler in ${CXX:-c++} g++ clang++; do
    if has_program "$compiler"; then
      if echo "#include <$1>" | "$compiler" -E -x c++ - >/dev/null 2>&1; then return 0; fi
      if has_program brew && echo "#include <$1>" |
        "$compiler" -E -x c++ "-I$(brew --prefix)/include" - >/dev/null 2>&1; then return 0; fi
    fi
  done
  return 1
}

has_sanitizers() {
  echo "int main() {}" | clang++ -fsanitize=address,undefined -x c++ - -o /dev/null >/dev/null 2>&1
}

missing() {
  for what in "$@"; do
    case $what in
      build)
        has_program c++ || has_program g++ || has_program clang++ || echo "a C++20 compiler"
        has_program cmake || echo "CMake 3.22 or newer"
        has_program ninja || echo "Ninja"
        has_header boost/graph/adjacency_list.hpp || echo "Boost's headers, 1.74 or newer"
        has_header rapidjson/reader.h || echo "RapidJSON"
        has_header CLI/CLI.hpp || echo "CLI11"
        has_header eigen3/Eigen/Core || has_header Eigen/Core || echo "Eigen"
        ;;
      test)
        has_header doctest/doctest.h || echo "doctest"
        has_program clang++ || [ "$(uname)" != Linux ] || echo "Clang"
        has_sanitizers || [ "$(uname)" != Linux ] || echo "Clang's sanitizers (compiler-rt)"
        has_program mpirun || [ -x /usr/lib64/openmpi/bin/mpirun ] || echo "Open MPI"
        ;;
    esac
  done
}

names() {  # the packages for a manager: names apt build test
  manager=$1
  shift
  for what in "$@"; do eval "echo \$${manager}_${what}"; done | tr '\n' ' ' | sed 's/ $//'
}

# Installs what some tests use and skip without, where that is possible; never fails.
want_for_tests() {
  if has_program ctags && has_program clang++-19; then return 0; fi
  if ! has_program apt-get || [ "$(id -u)" != 0 ]; then return 0; fi
  export DEBIAN_FRONTEND=noninteractive
  for package in universal-ctags "clang-19 libc++-19-dev libc++abi-19-dev"; do
    apt-get install -y -qq --no-install-recommends $package >/dev/null 2>&1 || true
  done
}

need() {
  lacking=$(missing "$@")
  [ -n "$lacking" ] || return 0
  as_root=
  if [ "$(id -u)" != 0 ]; then
    if has_program sudo && sudo -n true 2>/dev/null; then as_root=sudo; else as_root=no; fi
  fi
  if has_program apt-get && [ "$as_root" != no ]; then
    echo "installing $(names apt "$@")"
    export DEBIAN_FRONTEND=noninteractive
    $as_root apt-get update -qq &&
      $as_root apt-get install -y -qq --no-install-recommends $(names apt "$@") >/dev/null || true
    lacking=$(missing "$@")
    [ -n "$lacking" ] || return 0
  fi
  echo "missing:" >&2
  echo "$lacking" | sed 's/^/  /' >&2
  echo "install it, then run this again:" >&2
  echo "  Debian, Ubuntu   apt-get install $(names apt "$@")" >&2
  echo "  Fedora           dnf install $(names dnf "$@")" >&2
  echo "  macOS            brew install $(names brew "$@")" >&2
  exit 1
}
