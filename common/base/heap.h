// SPDX-License-Identifier: Apache-2.0
// common/base/heap.h -- gives memory that is free, but kept by malloc, back to the node.
//
//   TuneHeap(1);                    // first in main, before there are threads
//   HeapTrimmer trimmer(loop);      // while the loop runs
//
// A burst (10,000 addresses told at once, a state encoded for the disk) takes many times what stays of it, in small
// pieces between pieces that stay. malloc returns only what lies at the end of an arena, so without this a process
// keeps its peak for ever. Sizes are bytes.
#ifndef BERTH_COMMON_BASE_HEAP_H_
#define BERTH_COMMON_BASE_HEAP_H_

#include <cstddef>
#include <functional>

#include "absl/time/time.h"
#include "common/base/event_loop.h"

namespace berth {

// Few arenas, so that what one thread frees another can use: one where no thread allocates much, two where a second one
// reads or writes files as large as the loop's work meanwhile. And large blocks always mapped on their own, so that they
// go back when they are freed.
void TuneHeap(int arenas);

// Trims as soon as `kWorth` more is present than after the last trim, and every `kLooks` looks whatever is present:
// what is freed shows in no cheap figure. A look takes some 20 microseconds; a trim 1 millisecond with 10 MiB idle.
class HeapTrimmer {
 public:
  static constexpr absl::Duration kEvery = absl::Seconds(5);
  static constexpr int kLooks = 12;
  static constexpr std::size_t kWorth = std::size_t{1} << 20;

  // The heap, for tests. Both run on the loop thread.
  struct Heap {
    std::function<std::size_t()> present;  // bytes, idle or in use
    std::function<void()> trim;
  };

  // Loop thread, as is the destructor. The loop must outlive it.
  explicit HeapTrimmer(EventLoop& loop) : HeapTrimmer(loop, TheHeap()) {}
  HeapTrimmer(EventLoop& loop, Heap heap);
  ~HeapTrimmer();
  HeapTrimmer(const HeapTrimmer&) = delete;
  HeapTrimmer& operator=(const HeapTrimmer&) = delete;

 private:
  static Heap TheHeap();  // malloc's
  void Look();

  EventLoop& loop_;
  const Heap heap_;
  std::size_t least_;  // present since the last trim
  int looks_ = 0;      // since the last trim
  TimerId timer_ = 0;
};

}  // namespace berth

#endif  // BERTH_COMMON_BASE_HEAP_H_
