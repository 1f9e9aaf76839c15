// SPDX-License-Identifier: Apache-2.0
// tools/berthctl/arrivals.h -- which addresses are on their way, by what a watch says of them. Pure; one thread.
#ifndef BERTH_TOOLS_BERTHCTL_ARRIVALS_H_
#define BERTH_TOOLS_BERTHCTL_ARRIVALS_H_

#include <map>
#include <string>
#include <vector>

#include "berth/admin/v1/admin.pb.h"

namespace berth::ctl {

namespace v1 = admin::v1;

class Arrivals {
 public:
  void AwaitAt(const std::string& node, const std::string& address) { awaited_[address] = {.node = node, .at = true}; }
  void AwaitAwayFrom(const std::string& node, const std::string& address) { awaited_[address] = {.node = node}; }
  // A line when an awaited address has arrived, or is no more; else empty.
  std::string Take(const v1::Change& change);
  bool done() const { return awaited_.empty(); }
  // Those that will not arrive, one sentence each: the order was forgotten, and why.
  const std::vector<std::string>& forgotten() const { return forgotten_; }
  // "192.168.50.50, 192.168.50.51 and 3 others"
  std::string Missing() const;

  // Whether the node answers for it, to the best of the controller's knowledge.
  static bool Announces(const v1::Address& address, const std::string& node) {
    return address.holder() == node && HasHolder(address);
  }

 private:
  struct Goal {
    std::string node;
    bool at = false;       // or anywhere but there
    bool ordered = false;  // the controller has the order
  };
  bool Forgotten(const v1::Address& address, Goal& goal);
  static bool HasHolder(const v1::Address& address) {
    return !address.holder().empty() &&
           (address.state() == v1::Address::ANNOUNCED || address.state() == v1::Address::CONFLICT);
  }

  std::map<std::string, Goal> awaited_;
  std::vector<std::string> forgotten_;
};

}  // namespace berth::ctl

#endif  // BERTH_TOOLS_BERTHCTL_ARRIVALS_H_
