// SPDX-License-Identifier: Apache-2.0
#include "controller/kube/source/bgp_objects.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "controller/kube/objects/bgp_object.h"
#include "controller/kube/objects/read_field.h"

namespace berth::kube {

absl::Status BgpObjects::Put(Kind kind, const nlohmann::json& object) {
  const std::string name = IdOf(object).name;
  absl::Status status = kind == Kind::kBgpConf ? CheckBgpConf(object) : CheckBgpPeer(object);
  if (status.ok()) {
    Drop(kind, name);
    return status;
  }
  Entry now{std::string(status.message()), StringAt(MapAt(object, "metadata"), "uid")};
  Entry& entry = entries_[{kind, name}];
  if (entry.message != now.message || entry.uid != now.uid) entry = std::move(now);
  return status;
}

void BgpObjects::Drop(Kind kind, const std::string& name) { entries_.erase({kind, name}); }

std::vector<BgpObjects::Invalid> BgpObjects::TakeUntold() {
  std::vector<Invalid> untold;
  for (auto& [key, entry] : entries_) {
    if (std::exchange(entry.told, true)) continue;
    untold.push_back(
        {{key.first, model::ObjectId{"", key.second}, /*warning=*/true, "InvalidConfig", entry.message}, entry.uid});
  }
  return untold;
}

}  // namespace berth::kube
