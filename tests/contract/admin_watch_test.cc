// SPDX-License-Identifier: Apache-2.0
// Watch as a client over loopback finds it.
#include <vector>

#include "absl/strings/match.h"
#include "tests/contract/admin_harness.h"

namespace berth {
namespace {

class Watcher {
 public:
  Watcher(AdminStage& stage, bool send_initial) : context_(AdminStage::Context()) {
    v1::WatchRequest request;
    request.set_send_initial(send_initial);
    reader_ = stage.stub().Watch(context_.get(), request);
  }
  // The next change; one without a kind when there is none.
  v1::Change Next() {
    v1::Change change;
    return reader_->Read(&change) ? change : v1::Change();
  }
  void Cancel() { context_->TryCancel(); }
  grpc::Status Finish() {
    while (Next().kind() != v1::Change::KIND_UNSPECIFIED) {
    }
    return reader_->Finish();
  }

 private:
  std::unique_ptr<grpc::ClientContext> context_;
  std::unique_ptr<grpc::ClientReader<v1::Change>> reader_;
};

void ChangePool(AdminStage& stage, const std::string& name, const std::string& message) {
  stage.OnLoop([&](FakeAdminBackend& backend) {
    model::PoolView& pool = backend.pools[name];
    pool.name = name;
    pool.message = message;
    model::ChangeView change;
    change.pool = pool;
    backend.Announce(change);
  });
}

// The server hears of a client's end in its own time; the loop is asked until it has.
bool SubscribersBecome(AdminStage& stage, std::size_t wanted) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  std::size_t now = 0;
  do {
    stage.OnLoop([&](FakeAdminBackend& backend) { now = backend.subscribers(); });
  } while (now != wanted && std::chrono::steady_clock::now() < deadline);
  return now == wanted;
}

TEST_CASE("a watch sends all that exists, says so, and then what changes", "[contract]") {
  AdminStage stage(FillSmallCluster);
  Watcher watcher(stage, true);
  int pools = 0, services = 0, addresses = 0, agents = 0;
  v1::Change change = watcher.Next();
  for (; change.kind() == v1::Change::ADDED; change = watcher.Next()) {
    pools += change.has_pool();
    services += change.has_service();
    addresses += change.has_address();
    agents += change.has_agent();
  }
  CHECK(change.kind() == v1::Change::SYNCED);
  CHECK(pools == 1);
  CHECK(services == 2);
  CHECK(addresses == 1);
  CHECK(agents == 2);

  ChangePool(stage, "eip-pool", "changed");
  change = watcher.Next();
  CHECK(change.kind() == v1::Change::CHANGED);
  CHECK(change.pool().message() == "changed");
  ChangePool(stage, "new", "");
  CHECK(watcher.Next().kind() == v1::Change::ADDED);
  stage.OnLoop([](FakeAdminBackend& backend) {
    model::ChangeView gone;
    gone.gone = true;
    gone.agent = backend.agents["node2"];
    backend.Announce(gone);
  });
  change = watcher.Next();
  CHECK(change.kind() == v1::Change::GONE);
  CHECK(change.agent().node() == "node2");
}

TEST_CASE("a watch for later changes only begins with SYNCED and knows what is new", "[contract]") {
  AdminStage stage(FillSmallCluster);
  Watcher watcher(stage, false);
  REQUIRE(watcher.Next().kind() == v1::Change::SYNCED);
  REQUIRE(SubscribersBecome(stage, 1));
  ChangePool(stage, "eip-pool", "changed");
  CHECK(watcher.Next().kind() == v1::Change::CHANGED);
  ChangePool(stage, "new", "");
  CHECK(watcher.Next().kind() == v1::Change::ADDED);
}

TEST_CASE("a watcher that does not read costs a bounded queue and then gets the newest state", "[contract]") {
  AdminStage stage(FillSmallCluster);
  Watcher watcher(stage, false);
  REQUIRE(watcher.Next().kind() == v1::Change::SYNCED);
  REQUIRE(SubscribersBecome(stage, 1));
  // More than the connection's window holds.
  const std::string padding(1000, 'x');
  constexpr int kChanges = 20000;
  stage.OnLoop([&](FakeAdminBackend& backend) {
    model::ChangeView change;
    change.pool = backend.pools["eip-pool"];
    for (int i = 1; i <= kChanges; ++i) {
      change.pool->message = absl::StrCat(i, " ", padding);
      backend.Announce(change);
    }
  });
  int told = 0;
  int last = 0;
  while (last != kChanges) {
    const v1::Change change = watcher.Next();
    REQUIRE(change.kind() == v1::Change::CHANGED);
    const int number = std::stoi(change.pool().message());
    REQUIRE(number > last);
    last = number;
    ++told;
  }
  CHECK(told < kChanges / 2);
}

TEST_CASE("a watcher that leaves is forgotten", "[contract]") {
  AdminStage stage(FillSmallCluster);
  Watcher watcher(stage, true);
  REQUIRE(watcher.Next().kind() == v1::Change::ADDED);
  REQUIRE(SubscribersBecome(stage, 1));
  watcher.Cancel();
  CHECK(watcher.Finish().error_code() == grpc::StatusCode::CANCELLED);
  CHECK(SubscribersBecome(stage, 0));
}

TEST_CASE("one watch too many is refused, and one that ends makes room", "[contract]") {
  AdminStage stage({}, 1);
  {
    Watcher first(stage, false);
    REQUIRE(first.Next().kind() == v1::Change::SYNCED);
    REQUIRE(SubscribersBecome(stage, 1));
    const grpc::Status refused = Watcher(stage, false).Finish();
    CHECK(refused.error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED);
    CHECK(absl::StrContains(refused.error_message(), "1 watches"));
    first.Cancel();
    (void)first.Finish();
  }
  REQUIRE(SubscribersBecome(stage, 0));
  Watcher next(stage, false);
  CHECK(next.Next().kind() == v1::Change::SYNCED);
}

TEST_CASE("a shutdown ends watches with UNAVAILABLE and leaves no subscription", "[contract]") {
  AdminStage stage(FillSmallCluster);
  Watcher watcher(stage, false);
  REQUIRE(watcher.Next().kind() == v1::Change::SYNCED);
  REQUIRE(SubscribersBecome(stage, 1));
  stage.Shutdown();
  const grpc::Status ended = watcher.Finish();
  CHECK(ended.error_code() == grpc::StatusCode::UNAVAILABLE);
  CHECK(absl::StrContains(ended.error_message(), "shutting down"));
  CHECK(SubscribersBecome(stage, 0));
}

}  // namespace
}  // namespace berth
