// SPDX-License-Identifier: Apache-2.0
// Orders that are to outlive the controller: when they are answered.
#include <chrono>
#include <future>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "tests/contract/admin_harness.h"

namespace berth {
namespace {

// A node was drained, and that waits to be on record.
struct HeldDrain {
  HeldDrain() {
    stage.OnLoop([](FakeAdminBackend& backend) { backend.hold_records = true; });
    request.set_node("node1");
    stage.stub().async()->DrainNode(context.get(), &request, &found,
                                    [this](grpc::Status status) { answered.set_value(std::move(status)); });
    for (bool begun = false; !begun;) {
      stage.OnLoop([&](FakeAdminBackend& backend) { begun = !backend.recording.empty(); });
    }
  }
  // Outlive the stage, which ends the call.
  std::promise<grpc::Status> answered;
  const decltype(AdminStage::Context()) context = AdminStage::Context();
  v1::DrainNodeRequest request;
  v1::DrainNodeResponse found;
  AdminStage stage{FillSmallCluster};
};

TEST_CASE("a drain is answered once it is on record, and says when it cannot be", "[contract]") {
  const bool recorded = GENERATE(true, false);
  HeldDrain held;
  std::future<grpc::Status> answered = held.answered.get_future();
  CHECK(answered.wait_for(std::chrono::milliseconds(50)) == std::future_status::timeout);
  held.stage.OnLoop([&](FakeAdminBackend& backend) {
    CHECK(backend.orders == std::vector<std::string>{"drain node1"});
    if (!recorded) backend.record = absl::UnavailableError("no room on the disk");
    backend.AnswerRecords();
  });
  REQUIRE(answered.get().ok());
  CHECK(held.found.agent().node() == "node1");
  CHECK(held.found.staying_size() == 1);
  CHECK(held.found.warning().empty() == recorded);
  CHECK(absl::EndsWith(held.found.warning(), "no room on the disk") != recorded);
}

TEST_CASE("a drain that takes long to be on record is answered all the same, and only once", "[contract]") {
  HeldDrain held;
  REQUIRE(held.answered.get_future().get().ok());
  CHECK(absl::StrContains(held.found.warning(), "not on record yet"));
  held.stage.OnLoop([](FakeAdminBackend& backend) { backend.AnswerRecords(); });  // too late, and no harm
}

TEST_CASE("a drain that is not on record yet is ended by the shutdown", "[contract]") {
  HeldDrain held;
  held.stage.Shutdown();
  CHECK(held.answered.get_future().get().error_code() == grpc::StatusCode::UNAVAILABLE);
  held.stage.OnLoop([](FakeAdminBackend& backend) { backend.AnswerRecords(); });
}

}  // namespace
}  // namespace berth
