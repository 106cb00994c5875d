// SPDX-License-Identifier: Apache-2.0
//
// Lists that repeat, kept once each, and answers that need not be worked out again.
//
// A program is a few layers many times over, so that of its ten thousand tables a few hundred
// differ (of a 32-layer transformer's training step 166 of 6092 once presolved).  Where equal lists
// have equal numbers, whatever is computed from lists alone is computed once for each question:
// what presolve costs then grows with what is new in a program, not with its length.
#pragma once
#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <initializer_list>
#include <span>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "tessera/core/wide.hpp"

namespace tessera::solver::detail {

// Equal lists are equal bytes.  O(length), at about memory's speed.
template<class T>
std::size_t hash_of(std::span<const T> list) {
  static_assert(std::is_integral_v<T> || std::is_same_v<T, Wide>);
  return std::hash<std::string_view>()(
      {reinterpret_cast<const char*>(list.data()), list.size_bytes()});
}

template<class T>
class Pool {
 public:
  using Id = std::uint32_t;  // lists are numbered in the order in which they come

  // The number of the list equal to this one.  O(length)
  [[gnu::noinline]] Id add(std::vector<T> list) {
    const auto [id, is_new] = place(list);
    if (is_new) lists_[id] = std::move(list);
    return id;
  }
  [[gnu::noinline]] Id add(std::span<const T> list) {
    const auto [id, is_new] = place(list);
    if (is_new) lists_[id].assign(list.begin(), list.end());
    return id;
  }

  // @pre the list is not used any more; its number may go to another one
  void remove(Id id) {
    slots_[find(lists_[id], hash_of(std::span<const T>(lists_[id])))].id = removed;
    lists_[id] = {};
    free_.push_back(id);
  }

  // Stays where it is until it is removed.
  const std::vector<T>& operator[](Id id) const noexcept { return lists_[id]; }
  std::size_t size() const noexcept { return lists_.size(); }

 private:
  // An open-addressing index: what one look-up touches is one line of the cache, mostly.
  struct Slot {
    std::uint32_t hash = 0;  // the upper half; the lower one says where to look
    Id id = empty;
  };
  static constexpr Id empty = 0xffffffff, removed = 0xfffffffe;

  // Where the list is, or the empty slot where it would be looked for last.
  std::size_t find(std::span<const T> list, std::size_t hash) const {
    const std::size_t mask = slots_.size() - 1;
    for (std::size_t at = hash & mask;; at = (at + 1) & mask) {
      const Slot& slot = slots_[at];
      if (slot.id == empty) return at;
      if (slot.id == removed || slot.hash != upper_half(hash)) continue;
      const std::vector<T>& there = lists_[slot.id];
      if (std::equal(list.begin(), list.end(), there.begin(), there.end())) return at;
    }
  }

  [[gnu::noinline]] std::pair<Id, bool> place(std::span<const T> list) {
    if (2 * (used_ + 1) > slots_.size()) rebuild_index();
    const std::size_t hash = hash_of(list);
    Slot& slot = slots_[find(list, hash)];
    if (slot.id != empty) return {slot.id, false};
    ++used_;
    slot.hash = upper_half(hash);
    slot.id = free_.empty() ? static_cast<Id>(lists_.size()) : free_.back();
    if (free_.empty())
      lists_.emplace_back();
    else
      free_.pop_back();
    return {slot.id, true};
  }

  // Twice as many slots as lists can ever fill before the next time; removed ones go.
  void rebuild_index() {
    const std::vector<Slot> old = std::exchange(slots_, {});
    used_ = lists_.size() - free_.size();
    slots_.resize(std::bit_ceil(std::max<std::size_t>(16, 4 * (used_ + 1))));
    for (const Slot& slot : old)
      if (slot.id < removed) {
        const auto& list = lists_[slot.id];
        slots_[find(list, hash_of(std::span<const T>(list)))] = slot;
      }
  }

  static std::uint32_t upper_half(std::size_t hash) {
    return static_cast<std::uint32_t>(hash >> (4 * sizeof(std::size_t)));
  }

  std::deque<std::vector<T>> lists_;
  std::vector<Slot> slots_;  // a power of two, at most half of them used
  std::size_t used_ = 0;     // slots that are not empty
  std::vector<Id> free_;
};

// Numbers for keys, which are lists of numbers of at most 64 bits: 0, 1, 2 in the order in which
// they come.  It serves in place of many types of maps.
class KeyNumbers {
 public:
  // Of the key; equal to the size before where the key is new.
  [[gnu::noinline]] std::uint32_t number_of(std::initializer_list<std::uint64_t> key) {
    key_.clear();
    for (const std::uint64_t number : key) {
      key_.push_back(static_cast<std::uint32_t>(number));
      key_.push_back(static_cast<std::uint32_t>(number >> 32U));
    }
    return keys_.add(std::span<const std::uint32_t>(key_));
  }
  std::size_t size() const noexcept { return keys_.size(); }

 private:
  Pool<std::uint32_t> keys_;
  std::vector<std::uint32_t> key_;
};

// Remembers one number for each question; a question is a list of numbers.
class AnswerCache {
 public:
  // The value that work_out() returned when this was first asked.
  template<class WorkOut>
  std::uint32_t answer(std::span<const std::uint32_t> question, WorkOut&& work_out) {
    const Pool<std::uint32_t>::Id id = questions_.add(question);
    if (id < answers_.size()) return answers_[id];
    // work_out() must not ask this cache another question, so the answers stay in step.
    answers_.push_back(work_out());
    return answers_[id];
  }
  template<class WorkOut>
  std::uint32_t answer(std::initializer_list<std::uint32_t> question, WorkOut&& work_out) {
    return answer(std::span(question.begin(), question.size()), std::forward<WorkOut>(work_out));
  }

 private:
  Pool<std::uint32_t> questions_;
  std::vector<std::uint32_t> answers_;
};

}  // namespace tessera::solver::detail
