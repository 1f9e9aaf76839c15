// SPDX-License-Identifier: Apache-2.0
// controller/kube/client/curl_client.h -- the ApiClient of a real API server: libcurl, HTTP/2, two connections.
//
//   ASSIGN_OR_RETURN(KubeConfig config, FindKubeConfig(flags.kubeconfig));
//   ASSIGN_OR_RETURN(auto client, CurlClient::Create(loop, std::move(config), {}));
//
// Requests and watches have a connection and a thread each: a server that makes the watches wait, or speaks HTTP/1.1
// only, does not hold up a write. Requests pass a rate limit (rate_limit.h); 429, and 503 with Retry-After, hold all of
// them back for as long as the server says, at most 30 s. Nothing is tried again here: what a second attempt would mean
// is the caller's to know. See curl_engine.h for silent servers and credentials.h for secrets that rotate.
//
// Answers are not compressed: a list costs the API server more to pack than a cluster's network to carry.
#ifndef BERTH_CONTROLLER_KUBE_CLIENT_CURL_CLIENT_H_
#define BERTH_CONTROLLER_KUBE_CLIENT_CURL_CLIENT_H_

#include <array>
#include <cstddef>
#include <functional>
#include <memory>
#include <numeric>
#include <string>
#include <unordered_map>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/base/event_loop.h"
#include "controller/kube/client/api_client.h"
#include "controller/kube/client/curl_engine.h"
#include "controller/kube/client/kube_config.h"
#include "controller/kube/client/rate_limit.h"

namespace berth::kube {

class CurlClient final : public ApiClient {
 public:
  struct Options {
    RateLimit::Options rate;
    // Requests sent and not answered; the lease's come on top. An HTTP/2 server takes 100.
    std::size_t max_in_flight = 64;
    // Of Urgency::kAssign, and of kWrite: above all of Services that let go. The API server gives node ports back one
    // Service after the other: more at a time wait there, and delay what the watch tells of those that are done. Fewer
    // take longer in all.
    std::size_t max_of_either_in_flight = 48;
    // Of both. An admission webhook that does not answer may let all of these hang, for seconds each and again and
    // again: what reads, and watches, needs none of them.
    std::size_t max_changes_in_flight = 56;
    std::size_t max_answer_bytes = std::size_t{256} << 20;
    std::size_t max_line_bytes = std::size_t{16} << 20;  // of a watch
    absl::Duration connect_timeout = absl::Seconds(5);
    absl::Duration dead_after = absl::Seconds(10);     // of a connection that acknowledges nothing
    absl::Duration watch_silence = absl::Seconds(90);  // bookmarks come each minute
    std::string user_agent;                            // empty: berth-controller/VERSION
    // For metrics, on the loop thread, when a request has ended that passed the rate limit in time: `code` is 0 without
    // an answer; the time is from there to the end, or to the beginning of a watch.
    std::function<void(const ApiRequest& request, int code, absl::Duration took)> on_request;
  };

  // Errors: those of reading what `config` names (credentials.h).
  static absl::StatusOr<std::unique_ptr<CurlClient>> Create(EventLoop& loop, KubeConfig config, Options options);
  ~CurlClient() override;
  CurlClient(const CurlClient&) = delete;
  CurlClient& operator=(const CurlClient&) = delete;

  RequestId Do(ApiRequest request, Done done) override;
  RequestId Watch(ApiRequest request, WatchHandler handler) override;
  void Cancel(RequestId id) override;

  std::size_t in_flight() const {  // sent; watches not counted
    return std::accumulate(in_flight_of_.begin(), in_flight_of_.end(), std::size_t{0});
  }
  std::size_t waiting() const { return limit_.waiting(); }

 private:
  struct Running {
    ApiRequest request;  // its body moves on as it is sent
    bool watch = false;
    bool sent = false;
    Done done;
    WatchHandler handler;
  };

  CurlClient(EventLoop& loop, Credentials credentials, Options options);
  std::unique_ptr<CurlEngine> MakeEngine(Credentials credentials, const char* thread_name);
  CurlEngine& EngineOf(const Running& running) { return running.watch ? *watches_ : *requests_; }
  RequestId Add(Running running);
  void PumpSoon();
  void Pump();
  void Send(RequestId id);
  void Count(const Running& sent, bool ended);
  std::size_t& InFlight(Urgency urgency) { return in_flight_of_[static_cast<std::size_t>(urgency)]; }
  void OnBegin(RequestId id);
  void OnLines(RequestId id, const std::string& lines);
  void OnDone(RequestId id, Outcome outcome);
  void End(RequestId id, absl::StatusOr<ApiResponse> result);

  EventLoop& loop_;
  const Options options_;
  RateLimit limit_;
  RequestId last_ = 0;
  std::unordered_map<RequestId, Running> running_;
  std::array<std::size_t, kUrgencies> in_flight_of_{};  // by urgency
  bool pump_posted_ = false;
  TimerId pump_timer_ = 0;
  std::shared_ptr<int> alive_ = std::make_shared<int>(0);
  std::unique_ptr<CurlEngine> requests_, watches_;  // last: their threads end before all else goes
};

}  // namespace berth::kube

#endif  // BERTH_CONTROLLER_KUBE_CLIENT_CURL_CLIENT_H_
