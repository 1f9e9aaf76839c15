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

#include <algorithm>
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

  // Orders are noted and answered with what is there; `refuse` is the answer to all of them unless it is OK.
  absl::Status refuse;
  std::vector<std::string> orders;  // "drain node1", "move 192.0.2.1 node2", "rebalance", "rebalance --dry-run"
  std::vector<IpAddr> moving;       // of a drain
  std::vector<model::MoveView> moves;
  absl::StatusOr<model::DrainView> DrainNode(const std::string& node) override {
    if (!refuse.ok()) return refuse;
    orders.push_back(absl::StrCat("drain ", node));
    model::DrainView view{.agent = agents[node], .moving = moving, .staying = {}};
    for (const auto& [address, a] : addresses) {
      if (a.holder == node && std::find(moving.begin(), moving.end(), address) == moving.end())
        view.staying.push_back(a);
    }
    return view;
  }
  absl::StatusOr<model::AgentView> UndrainNode(const std::string& node) override {
    if (!refuse.ok()) return refuse;
    orders.push_back(absl::StrCat("undrain ", node));
    return agents[node];
  }
  // Answered with `record`, at once or when the test says so.
  absl::Status record;
  bool hold_records = false;
  std::vector<Recorded> recording;
  void WhenDrainsRecorded(Recorded done) override {
    recording.push_back(std::move(done));
    if (!hold_records) AnswerRecords();
  }
  void AnswerRecords() {
    for (const Recorded& done : std::exchange(recording, {})) done(record);
  }
  absl::StatusOr<model::AddressView> MoveAddress(const IpAddr& address, const std::string& node) override {
    if (!refuse.ok()) return refuse;
    orders.push_back(absl::StrCat("move ", address.ToString(), " ", node));
    return ExplainAddress(address);
  }
  absl::StatusOr<std::vector<model::MoveView>> Rebalance(bool dry_run) override {
    if (!refuse.ok()) return refuse;
    orders.push_back(dry_run ? "rebalance --dry-run" : "rebalance");
    return moves;
  }
  // Answered with `census`, at once or when the test says so.
  model::LanCensus census;
  bool hold_examinations = false;
  std::vector<Examined> examining;
  void Examine(Examined done) override {
    examining.push_back(std::move(done));
    if (!hold_examinations) AnswerExaminations();
  }
  void AnswerExaminations() {
    for (const Examined& done : std::exchange(examining, {})) done(census);
  }
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
