// SPDX-License-Identifier: Apache-2.0
// controller/kube/source/bgp_objects.h -- BgpConfs and BgpPeers that no speaker would take, though they are in the API
// server: they came past the webhook, or were there before it.
//
// Nothing is kept of those that are well. No I/O; loop thread only.
#ifndef BERTH_CONTROLLER_KUBE_SOURCE_BGP_OBJECTS_H_
#define BERTH_CONTROLLER_KUBE_SOURCE_BGP_OBJECTS_H_

#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "controller/model/source.h"

namespace berth::kube {

class BgpObjects {
 public:
  using Kind = model::EventRecord::Kind;  // kBgpConf or kBgpPeer

  // What is wrong with the object as it is now.
  absl::Status Put(Kind kind, const nlohmann::json& object);
  void Drop(Kind kind, const std::string& name);

  struct Invalid {
    model::EventRecord event;  // reason InvalidConfig
    std::string uid;           // the object's
  };
  // Of what is wrong, what has not been taken yet: each once, and again when what is wrong has become something else.
  std::vector<Invalid> TakeUntold();

 private:
  struct Entry {
    std::string message, uid;
    bool told = false;
  };
  std::map<std::pair<Kind, std::string>, Entry> entries_;
};

}  // namespace berth::kube

#endif  // BERTH_CONTROLLER_KUBE_SOURCE_BGP_OBJECTS_H_
