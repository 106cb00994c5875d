// SPDX-License-Identifier: Apache-2.0
//
// The exceptions of the library, all under one base, and positions in an input text.
//
// Infeasible problems and expired limits are statuses, never exceptions.  An exception means that a
// caller passed something wrong, that an input text is wrong, or that a number grew too large; and
// InternalError means a defect, in the library or in code that breaks a precondition.  A mistake
// that types can show is also refused by the compiler, in the same words: core/fault.hpp.
#pragma once
#include <cstddef>
#include <exception>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "tessera/core/inline.hpp"

namespace tessera {

/// A place in an input text.
struct Position {
  std::size_t line = 1;    ///< 1 is the first
  std::size_t column = 1;  ///< in bytes, 1 is the first

  friend bool operator==(const Position&, const Position&) = default;
};

/// Text from a file, made fit for an error message: in quotes, on one line, printable, and no
/// longer than `limit` bytes of it.
std::string excerpt(std::string_view text, std::size_t limit = 40);

/// The base of every exception that Tessera throws.  what() is a complete sentence; op() and
/// position() repeat, for programs, the parts of it that are known.
class Error : public std::exception {
 public:
  explicit Error(std::string message) : message_(std::move(message)) {}
  const char* what() const noexcept override { return message_.c_str(); }

  /// The name of the op that the error is about; empty where it is about none.
  const std::string& op() const noexcept { return op_; }
  /// Where in the input text the error is, where a single place is at fault.
  const std::optional<Position>& position() const noexcept { return position_; }

  /// Says which op the error is about, in op() and in front of what(), where that is not said yet.
  void name_op(const std::string& name);

 protected:
  void set_position(Position position) { position_ = position; }

 private:
  std::string message_;
  std::string op_;
  std::optional<Position> position_;
};

/// An argument that the function does not take; the message says why.
class InvalidArgument : public Error {
 public:
  using Error::Error;
};

/// A number that does not fit in 64 bits, or takes longer than a day where it is a time.
class Overflow : public Error {
 public:
  using Error::Error;
};

/// More elements than a fixed capacity holds, or more steps than a stated limit allows.
class CapacityExceeded : public Error {
 public:
  using Error::Error;
};

/// A broken precondition or invariant: a defect of the caller or of the library, never of an input.
class InternalError : public Error {
 public:
  using Error::Error;
};

/// An error in an input text.  Prints as "model.hlo:12:7: operand 'x' is not defined".
class InputError : public Error {
 public:
  InputError(const std::string& source, Position position, const std::string& message);
  /// Where no single place is at fault: "--mesh: ...", "problem.json: ...".
  InputError(const std::string& source, const std::string& message);
};

/// The position of a byte offset.  O(offset): meant for errors, not for loops.
Position position_of(std::string_view text, std::size_t offset);

}  // namespace tessera

#ifdef TESSERA_HEADER_ONLY
#include "tessera/core/error.ipp"
#endif
