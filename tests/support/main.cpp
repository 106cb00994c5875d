// SPDX-License-Identifier: Apache-2.0
// doctest's own main, compiled once for all test programs.  (The precompiled header has already
// included doctest once, so its implementation is asked for by name.)
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

int main(int argc, char** argv) { return doctest::Context(argc, argv).run(); }
