// SPDX-License-Identifier: Apache-2.0
#include "common/base/heap.h"

#include <malloc.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <utility>

namespace berth {
namespace {

// The initial value. Setting it keeps malloc from raising it to 32 MiB with the first large block that is freed.
constexpr int kMappedFrom = 128 * 1024;

// Private pages present, those of stacks and relocated data included.
std::size_t AnonymousBytes() {
  std::ifstream statm("/proc/self/statm");
  std::size_t all = 0;
  std::size_t resident = 0;
  std::size_t shared = 0;
  if (!(statm >> all >> resident >> shared)) return 0;
  return (resident - std::min(resident, shared)) * static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
}

}  // namespace

void TuneHeap(int arenas) {
  mallopt(M_ARENA_MAX, arenas);
  mallopt(M_MMAP_THRESHOLD, kMappedFrom);
}

HeapTrimmer::HeapTrimmer(EventLoop& loop, Heap heap) : loop_(loop), heap_(std::move(heap)), least_(heap_.present()) {
  timer_ = loop_.RunAfter(kEvery, [this] { Look(); });
}

HeapTrimmer::~HeapTrimmer() { loop_.Cancel(timer_); }

HeapTrimmer::Heap HeapTrimmer::TheHeap() {
  return {.present = AnonymousBytes, .trim = [] { malloc_trim(0); }};
}

void HeapTrimmer::Look() {
  timer_ = loop_.RunAfter(kEvery, [this] { Look(); });
  const std::size_t present = heap_.present();
  least_ = std::min(least_, present);
  if (present < least_ + kWorth && ++looks_ < kLooks) return;
  heap_.trim();
  least_ = heap_.present();
  looks_ = 0;
}

}  // namespace berth
