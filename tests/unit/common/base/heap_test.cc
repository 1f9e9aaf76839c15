// SPDX-License-Identifier: Apache-2.0
#include "common/base/heap.h"

#include <catch2/catch.hpp>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "tests/fakes/manual_event_loop.h"

namespace berth {
namespace {

constexpr std::size_t kMiB = std::size_t{1} << 20;

// A heap of which trimming returns all that is idle but `stuck`.
struct ToyHeap {
  std::size_t idle = 0, stuck = 0;
  int trims = 0;
  HeapTrimmer::Heap View() {
    return {.idle = [this] { return idle; },
            .trim =
                [this] {
                  ++trims;
                  idle = stuck;
                }};
  }
};

}  // namespace

TEST_CASE("A heap is trimmed when much of it lies idle, and left alone otherwise") {
  ManualEventLoop loop;
  ToyHeap heap;
  HeapTrimmer trimmer(loop, heap.View());
  heap.idle = TrimRule::kWorth - 1;
  loop.Advance(3 * HeapTrimmer::kEvery);
  CHECK(heap.trims == 0);
  heap.idle = TrimRule::kWorth;
  loop.Advance(HeapTrimmer::kEvery);
  CHECK(heap.trims == 1);
  loop.Advance(3 * HeapTrimmer::kEvery);
  CHECK(heap.trims == 1);
}

TEST_CASE("What trimming cannot return is not tried again, only what has come on top of it") {
  ManualEventLoop loop;
  ToyHeap heap{.idle = 10 * kMiB, .stuck = 6 * kMiB};
  HeapTrimmer trimmer(loop, heap.View());
  loop.Advance(5 * HeapTrimmer::kEvery);
  CHECK(heap.trims == 1);
  heap.idle = 6 * kMiB + TrimRule::kWorth;
  loop.Advance(HeapTrimmer::kEvery);
  CHECK(heap.trims == 2);
}

TEST_CASE("Idle memory that was put to use in between counts anew when it lies idle again") {
  ManualEventLoop loop;
  ToyHeap heap{.idle = 10 * kMiB, .stuck = 6 * kMiB};
  HeapTrimmer trimmer(loop, heap.View());
  loop.Advance(HeapTrimmer::kEvery);
  heap.idle = kMiB;
  loop.Advance(HeapTrimmer::kEvery);
  heap.idle = 6 * kMiB;
  loop.Advance(HeapTrimmer::kEvery);
  CHECK(heap.trims == 2);
}

TEST_CASE("A trimmer that is gone looks no more") {
  ManualEventLoop loop;
  ToyHeap heap{.idle = 10 * kMiB};
  {
    const HeapTrimmer trimmer(loop, heap.View());
  }
  loop.Advance(5 * HeapTrimmer::kEvery);
  CHECK(heap.trims == 0);
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)  // these bring another malloc
namespace {

std::size_t AnonymousBytes() {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    if (word != "RssAnon:") continue;
    std::size_t kib = 0;
    status >> kib;
    return kib * 1024;
  }
  FAIL("no RssAnon in /proc/self/status");
  return 0;
}

}  // namespace

TEST_CASE("Pages that a burst leaves free between blocks in use are given back to the system") {
  constexpr std::size_t kBlock = 1000;
  std::vector<std::unique_ptr<char[]>> blocks;
  for (int i = 0; i < 40'000; ++i) {
    blocks.push_back(std::make_unique<char[]>(kBlock));  // zeroed, so present
  }
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    if (i % 100 != 0) blocks[i].reset();
  }
  const std::size_t before = AnonymousBytes();
  ManualEventLoop loop;
  const HeapTrimmer trimmer(loop);
  loop.Advance(HeapTrimmer::kEvery);
  CHECK(AnonymousBytes() + 25 * kMiB < before);
}
#endif

}  // namespace berth
