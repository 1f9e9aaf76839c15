// SPDX-License-Identifier: Apache-2.0
#include "common/sync/messages.h"

namespace berth::sync {

std::uint64_t TermOf(const ControllerMessage& message) {
  return std::visit([](const auto& m) { return m.term; }, message);
}

}  // namespace berth::sync
