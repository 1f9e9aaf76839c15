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

// A heap in which trimming returns what is idle.
struct ToyHeap {
  std::size_t used = 0, idle = 0;
  int trims = 0;
  HeapTrimmer::Heap View() {
    return {.present = [this] { return used + idle; },
            .trim =
                [this] {
                  ++trims;
                  idle = 0;
                }};
  }
};

}  // namespace

TEST_CASE("A heap is trimmed at the next look after it has grown by much, and not for little") {
  ManualEventLoop loop;
  ToyHeap heap{.used = 5 * kMiB};
  HeapTrimmer trimmer(loop, heap.View());
  heap.idle = HeapTrimmer::kWorth - 1;
  loop.Advance(3 * HeapTrimmer::kEvery);
  CHECK(heap.trims == 0);
  heap.idle = HeapTrimmer::kWorth;
  loop.Advance(HeapTrimmer::kEvery);
  CHECK(heap.trims == 1);
}

TEST_CASE("What is in use after a trim does not cause the next one") {
  ManualEventLoop loop;
  ToyHeap heap{.used = 5 * kMiB};
  HeapTrimmer trimmer(loop, heap.View());
  heap.used = 50 * kMiB;
  loop.Advance(4 * HeapTrimmer::kEvery);
  CHECK(heap.trims == 1);
  heap.used = 20 * kMiB;  // the end of an arena: malloc returned it without us
  loop.Advance(HeapTrimmer::kEvery);
  heap.idle = HeapTrimmer::kWorth;
  loop.Advance(HeapTrimmer::kEvery);
  CHECK(heap.trims == 2);
}

TEST_CASE("What is freed without growth is given back within a minute") {
  ManualEventLoop loop;
  ToyHeap heap{.used = 50 * kMiB};
  HeapTrimmer trimmer(loop, heap.View());
  heap.used = 5 * kMiB;
  heap.idle = 45 * kMiB;
  loop.Advance(absl::Minutes(1));
  CHECK(heap.idle == 0);
}

TEST_CASE("A trimmer that is gone looks no more") {
  ManualEventLoop loop;
  ToyHeap heap;
  {
    const HeapTrimmer trimmer(loop, heap.View());
  }
  heap.idle = 10 * kMiB;
  loop.Advance(absl::Minutes(2));
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
  loop.Advance(absl::Minutes(1));
  CHECK(AnonymousBytes() + 25 * kMiB < before);
}
#endif

}  // namespace berth
