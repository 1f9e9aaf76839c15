// SPDX-License-Identifier: Apache-2.0
// tests/unit/controller/kube/scripted_api.h -- an ApiClient that a test answers for itself.
//
//   ScriptedApi api(loop);
//   api.answer = [](const ApiRequest& r) -> absl::StatusOr<ApiResponse> { return ApiResponse{200, "{}"}; };
//   api.hold = true;     // from here on nothing is answered; Release() answers what waits
#ifndef BERTH_TESTS_UNIT_CONTROLLER_KUBE_SCRIPTED_API_H_
#define BERTH_TESTS_UNIT_CONTROLLER_KUBE_SCRIPTED_API_H_

#include <functional>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "common/base/event_loop.h"
#include "controller/kube/client/api_client.h"

namespace berth::kube {

class ScriptedApi final : public ApiClient {
 public:
  explicit ScriptedApi(EventLoop& loop) : loop_(loop) {}
  ~ScriptedApi() override { *alive_ = false; }

  std::function<absl::StatusOr<ApiResponse>(const ApiRequest&)> answer;
  bool hold = false;
  std::vector<ApiRequest> seen;
  std::size_t waiting() const { return waiting_.size(); }

  // Answers all that waits, with what `answer` says now.
  void Release() {
    hold = false;
    for (const auto& [id, call] : waiting_) PostAnswer(id);
  }

  RequestId Do(ApiRequest request, Done done) override {
    seen.push_back(request);
    waiting_[++last_] = {std::move(request), std::move(done)};
    if (!hold) PostAnswer(last_);
    return last_;
  }
  RequestId Watch(ApiRequest, WatchHandler) override { return 0; }
  void Cancel(RequestId id) override { waiting_.erase(id); }

 private:
  void PostAnswer(RequestId id) {
    loop_.Post([this, alive = alive_, id] {
      if (!*alive) return;
      auto call = waiting_.extract(id);
      if (call) call.mapped().second(answer(call.mapped().first));
    });
  }
  EventLoop& loop_;
  RequestId last_ = 0;
  std::map<RequestId, std::pair<ApiRequest, Done>> waiting_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace berth::kube

#endif  // BERTH_TESTS_UNIT_CONTROLLER_KUBE_SCRIPTED_API_H_
