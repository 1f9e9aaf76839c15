// SPDX-License-Identifier: Apache-2.0
// How often a pool's status is written.
#include <catch2/catch.hpp>
#include <string>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "controller/core/pools.h"

namespace berth::core {
namespace {

constexpr absl::Duration kTick = absl::Milliseconds(100);

// A leader's pools, of which one is in force, and Services that come.
class Cluster {
 public:
  Cluster() {
    ctx_.active = true;
    ctx_.out = &effects_;
    model::Pool pool;
    pool.name = "wide";
    pool.address_text = "10.0.0.0/16";
    pool.addresses = *IpRangeSet::Parse(pool.address_text);
    pool.protocol = model::Protocol::kLayer2;
    pool.interface = "eth0";
    model::ClusterDelta delta;
    delta.pools = {pool};
    pools_.Apply(delta);
    pools_.Begin();
    effects_.clear();
  }

  void Come(int services) {
    for (int i = 0; i < services; ++i, ++users_) {
      model::Service service;
      service.id = {"default", absl::StrCat("web-", users_)};
      model::Allocation a;
      a.address = IpAddr::V4(0x0a000001 + users_);
      a.pool = "wide";
      ctx_.ledger.Assign(plan::MakeClaim(service, a));
      pools_.TouchOf(a.address);
    }
  }

  // When statuses are written, with how many users, while so many Services come every 100 ms. From the beginning of it.
  struct Write {
    absl::Duration at;
    std::size_t users;
  };
  std::vector<Write> Run(absl::Duration time, int services) {
    const absl::Time began = ctx_.now;
    std::vector<Write> writes;
    for (; ctx_.now < began + time; ctx_.now += kTick) {
      ctx_.timers.RunDue(ctx_.now);
      for (const Effect& effect : effects_) {
        const auto* write = std::get_if<WritePoolStatus>(&effect);
        if (write != nullptr) writes.push_back({ctx_.now - began, write->status.used_list.size()});
      }
      effects_.clear();
      Come(services);
    }
    return writes;
  }

  void SetUsable(bool usable) {
    usable_ = usable;
    pools_.TouchAll();
  }

 private:
  Context ctx_{Options()};
  Effects effects_;
  bool usable_ = true;
  Pools pools_{ctx_, [this](const model::Pool&) { return usable_; }};
  std::uint32_t users_ = 0;
};

TEST_CASE("the status of a pool whose users come and go is written once a second", "[unit]") {
  Cluster cluster;
  const auto writes = cluster.Run(absl::Seconds(10), 1);
  REQUIRE(writes.size() == 9);
  for (std::size_t i = 1; i < writes.size(); ++i) CHECK(writes[i].at - writes[i - 1].at >= absl::Seconds(1));
}

TEST_CASE("the more users a pool has, the less often their coming and going alone is written", "[unit]") {
  Cluster cluster;
  cluster.Come(3500);
  cluster.Run(absl::Seconds(10), 0);
  const auto writes = cluster.Run(absl::Seconds(20), 1);
  REQUIRE(writes.size() == 5);
  CHECK(writes[0].at <= absl::Milliseconds(1100));  // the first after a rest is not late
  for (std::size_t i = 1; i < writes.size(); ++i) {
    CHECK(writes[i].at - writes[i - 1].at >= absl::Milliseconds(3500));
    CHECK(writes[i].at - writes[i - 1].at <= absl::Milliseconds(4600));
  }
  const auto last = cluster.Run(absl::Seconds(10), 0);  // and what comes last is written, too
  REQUIRE(last.size() == 1);
  CHECK(last[0].users == 3700);
}

TEST_CASE("what else is new of a pool with many users is written within the second", "[unit]") {
  Cluster cluster;
  cluster.Come(3500);
  cluster.Run(absl::Milliseconds(1100), 1);
  cluster.SetUsable(false);
  const auto writes = cluster.Run(absl::Milliseconds(1100), 1);
  REQUIRE(writes.size() == 1);
}

}  // namespace
}  // namespace berth::core
