// SPDX-License-Identifier: Apache-2.0
#include "controller/kube/write/writes.h"

#include <utility>

namespace berth::kube {

Writes::Writes(ApiClient& client, std::function<WriteWindow()> window) : client_(client), window_(std::move(window)) {}

void Writes::Do(ApiRequest request, ApiClient::Done done) {
  if (request.urgency != Urgency::kAssign) request.urgency = Urgency::kWrite;
  window_().Bound(request);
  ++in_flight_;
  client_.Do(std::move(request),
             [this, done = std::move(done), alive = std::weak_ptr<bool>(alive_)](absl::StatusOr<ApiResponse> response) {
               if (alive.expired()) return;
               --in_flight_;
               done(std::move(response));
               if (!alive.expired() && in_flight_ == 0) on_idle();
             });
}

void Writes::DoInTurn(const model::ObjectId& service, Make make, ApiClient::Done done) {
  std::deque<Turn>& turns = turns_[service];
  turns.push_back({std::move(make), std::move(done)});
  if (turns.size() == 1) BeginTurn(service);
}

void Writes::BeginTurn(const model::ObjectId& service) {
  do {
    std::optional<ApiRequest> request = turns_[service].front().make();
    if (!request.has_value()) continue;
    return Do(*std::move(request),
              [this, service, alive = std::weak_ptr<bool>(alive_)](absl::StatusOr<ApiResponse> response) {
                // Its turn lasts until `done` has ended: what that writes comes after whoever waits already.
                const ApiClient::Done done = std::move(turns_[service].front().done);
                done(std::move(response));
                if (!alive.expired() && EndTurn(service)) BeginTurn(service);
              });
  } while (EndTurn(service));
}

bool Writes::EndTurn(const model::ObjectId& service) {
  const auto it = turns_.find(service);
  it->second.pop_front();
  if (!it->second.empty()) return true;
  turns_.erase(it);
  return false;
}

}  // namespace berth::kube
