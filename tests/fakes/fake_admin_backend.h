// SPDX-License-Identifier: Apache-2.0
// tests/fakes/fake_admin_backend.h -- a controller that shows what a test puts into it.
//
//   FakeAdminBackend backend;
//   backend.pools["edge"] = {.name = "edge", ...};
//   backend.Announce({.pool = backend.pools["edge"]});   // to those who subscribed
//
// One thread: the loop's, once a server runs on it.
#ifndef BERTH_TESTS_FAKES_FAKE_ADMIN_BACKEND_H_
#define BERTH_TESTS_FAKES_FAKE_ADMIN_BACKEND_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "controller/model/views.h"

namespace berth {

class FakeAdminBackend final : public model::AdminBackend {
 public:
  std::map<std::string, model::PoolView> pools;
  std::map<model::ObjectId, model::ServiceView> services;
  std::map<IpAddr, model::AddressView> addresses;
  std::map<std::string, model::AgentView> agents;
  model::StatusView status;

  void Announce(const model::ChangeView& change) { Announce(std::vector<model::ChangeView>{change}); }
  void Announce(const std::vector<model::ChangeView>& changes) {
    const auto told = subscribers_;
    for (const auto& [id, on_change] : told) on_change(changes);
  }
  std::size_t subscribers() const { return subscribers_.size(); }

  std::vector<model::PoolView> Pools() const override { return Values(pools); }
  std::vector<model::ServiceView> Services() const override { return Values(services); }
  std::vector<model::AddressView> Addresses() const override { return Values(addresses); }
  std::vector<model::AgentView> Agents() const override { return Values(agents); }
  absl::StatusOr<model::ServiceView> ExplainService(const model::ObjectId& id) const override {
    const auto found = services.find(id);
    if (found == services.end()) return absl::NotFoundError(absl::StrCat("no Service ", id.ToString()));
    return found->second;
  }
  absl::StatusOr<model::AddressView> ExplainAddress(const IpAddr& address) const override {
    const auto found = addresses.find(address);
    if (found == addresses.end()) return absl::NotFoundError(absl::StrCat("no Service has ", address.ToString()));
    return found->second;
  }
  model::StatusView Status() const override { return status; }
  std::uint64_t Subscribe(std::function<void(const std::vector<model::ChangeView>&)> on_change) override {
    subscribers_[++last_id_] = std::move(on_change);
    return last_id_;
  }
  void Unsubscribe(std::uint64_t id) override { subscribers_.erase(id); }

 private:
  template <typename Map>
  static std::vector<typename Map::mapped_type> Values(const Map& map) {
    std::vector<typename Map::mapped_type> values;
    for (const auto& [key, value] : map) values.push_back(value);
    return values;
  }

  std::uint64_t last_id_ = 0;
  std::map<std::uint64_t, std::function<void(const std::vector<model::ChangeView>&)>> subscribers_;
};

}  // namespace berth

#endif  // BERTH_TESTS_FAKES_FAKE_ADMIN_BACKEND_H_
