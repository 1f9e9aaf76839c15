// SPDX-License-Identifier: Apache-2.0
// tests/unit/agent/l2/kernel_filter.h -- filter programs run where they will: in the kernel, attached to a socket pair,
// which needs no privilege.
#ifndef BERTH_TESTS_UNIT_AGENT_L2_KERNEL_FILTER_H_
#define BERTH_TESTS_UNIT_AGENT_L2_KERNEL_FILTER_H_

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <random>
#include <vector>

#include "agent/effect/l2/frame_filter.h"

namespace berth::agent {

inline constexpr std::uint32_t kTop = 0xffffffff;

class KernelFilter {
 public:
  explicit KernelFilter(const FrameFilter& filter) {
    REQUIRE(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, ends_) == 0);
    std::vector<sock_filter> code = CompileFilter(filter);
    const sock_fprog program{static_cast<unsigned short>(code.size()), code.data()};
    REQUIRE(setsockopt(ends_[1], SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) == 0);
  }
  ~KernelFilter() {
    close(ends_[0]);
    close(ends_[1]);
  }
  KernelFilter(const KernelFilter&) = delete;
  KernelFilter& operator=(const KernelFilter&) = delete;

  bool PassesFrame(const std::uint8_t* frame, std::size_t size) const {
    REQUIRE(send(ends_[0], frame, size, 0) == static_cast<ssize_t>(size));
    std::uint8_t got[256];
    const ssize_t n = recv(ends_[1], got, sizeof got, 0);
    if (n < 0) return false;
    REQUIRE(n == static_cast<ssize_t>(size));
    return true;
  }

 private:
  int ends_[2];
};

inline bool In(const std::vector<AddressSpan>& spans, std::uint32_t address) {
  return std::any_of(spans.begin(), spans.end(),
                     [&](const AddressSpan& s) { return s.first <= address && address <= s.last; });
}

// `count` spans, now and then from the bottom or up to the top of all addresses.
inline std::vector<AddressSpan> RandomSpans(std::mt19937& random, std::size_t count) {
  std::vector<std::uint32_t> ends;
  while (ends.size() < 2 * count) {
    ends.push_back(random() % 8 == 0 ? (random() % 2 == 0 ? 0 : kTop) : static_cast<std::uint32_t>(random()));
    std::sort(ends.begin(), ends.end());
    ends.erase(std::unique(ends.begin(), ends.end()), ends.end());
  }
  std::vector<AddressSpan> spans;
  for (std::size_t i = 0; i < ends.size(); i += 2) spans.push_back({ends[i], ends[i + 1]});
  return spans;
}

}  // namespace berth::agent

#endif  // BERTH_TESTS_UNIT_AGENT_L2_KERNEL_FILTER_H_
