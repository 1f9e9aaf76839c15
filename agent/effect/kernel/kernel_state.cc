// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "agent/effect/kernel/kernel.h"

namespace berth::agent {

const Link* KernelState::Find(const std::string& name) const {
  const auto it = std::find_if(links.begin(), links.end(), [&](const Link& link) { return link.name == name; });
  return it == links.end() ? nullptr : &*it;
}

const Link* KernelState::Find(int index) const {
  const auto it = std::lower_bound(links.begin(), links.end(), index,
                                   [](const Link& link, int wanted) { return link.index < wanted; });
  return it == links.end() || it->index != index ? nullptr : &*it;
}

}  // namespace berth::agent
