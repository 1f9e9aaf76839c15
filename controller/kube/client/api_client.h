// SPDX-License-Identifier: Apache-2.0
// controller/kube/client/api_client.h -- the seam to an API server: requests, and watches, as HTTP says them.
//
//   client.Do({.verb = "patch", .resource = "services", .method = Method::kPatch,
//              .path = "/api/v1/namespaces/default/services/web/status", .content_type = kMergePatch, .body = "{...}"},
//             [](absl::StatusOr<ApiResponse> response) { ... });
//
// Two implementations: CurlClient (curl_client.h; HTTP/2, a thread of its own) and FakeApiServer (tests/fakes). Knows
// HTTP and the shape of errors, nothing of objects. Loop thread only; callbacks come on the loop thread, never from
// within a call, and not after Cancel or the client's end.
#ifndef BERTH_CONTROLLER_KUBE_CLIENT_API_CLIENT_H_
#define BERTH_CONTROLLER_KUBE_CLIENT_API_CLIENT_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace berth::kube {

enum class Method : std::uint8_t { kGet, kPost, kPut, kPatch, kDelete };

inline constexpr char kJson[] = "application/json";
// Lists merged by their keys; for the API server's own kinds only.
inline constexpr char kStrategicMergePatch[] = "application/strategic-merge-patch+json";
inline constexpr char kMergePatch[] = "application/merge-patch+json";

// In what order requests leave when the rate limit holds them back. Each waits behind all of the ones before it.
// kAssign: a Service gets an address, which does not wait for thousands that let go of theirs.
enum class Urgency : std::uint8_t { kLease, kAssign, kWrite, kRead, kEvent };
inline constexpr std::size_t kUrgencies = 5;

struct ApiRequest {
  std::string verb;      // "get", "list", "watch", "create", "update", "patch", "delete": for metrics and messages
  std::string resource;  // "services", "eips", ...: likewise
  Method method = Method::kGet;
  std::string path;               // with its query
  std::string content_type = "";  // of `body`
  std::string body = "";
  Urgency urgency = Urgency::kRead;
  absl::Duration timeout = absl::Seconds(30);  // of a watch: until its response begins
  // No byte leaves after this (loop time): it ends with Cancelled, and the server has not seen it. A leader's writes.
  absl::Time not_after = absl::InfiniteFuture();
  // Given up at this loop time, however long it waited to leave, if `timeout`, which counts from then, is not over yet.
  absl::Time end_by = absl::InfiniteFuture();
};

struct ApiResponse {
  int code = 0;  // 200 to 299
  std::string body;
};

using RequestId = std::uint64_t;

class ApiClient {
 public:
  // What a request that did not succeed ends with. The message has the server's own words, the verb and the resource.
  //   Aborted            409 Conflict: the object changed meanwhile
  //   AlreadyExists      409 AlreadyExists
  //   NotFound           404
  //   OutOfRange         410 Expired: the resource version is too old
  //   Unauthenticated    401
  //   PermissionDenied   403
  //   InvalidArgument    400, 413, 415, 422: the server will never take it
  //   ResourceExhausted  429; the client itself waits as long as Retry-After says before it sends anything else, but
  //                      the Lease's requests unless it was one of them
  //   Cancelled          `not_after` passed before it was sent
  //   Unavailable        not sent, or refused with 5xx before it was looked at (503 with Retry-After)
  //   Unknown            sent, and what became of it is not known: timeout, lost connection, other 5xx
  using Done = std::function<void(absl::StatusOr<ApiResponse>)>;
  virtual ~ApiClient() = default;
  virtual RequestId Do(ApiRequest request, Done done) = 0;

  struct WatchHandler {
    // One line of the stream, without its end: a watch event's JSON.
    std::function<void(absl::string_view line)> on_line;
    // Once: OK when the server ended it in its own time, else an error as above. Bytes of a line cut off are dropped.
    std::function<void(absl::Status status)> on_end;
    // Once, before all lines: the server has accepted it.
    std::function<void()> on_begin = nullptr;
  };
  virtual RequestId Watch(ApiRequest request, WatchHandler handler) = 0;

  // Ends it without a callback. An id that is not running is ignored.
  virtual void Cancel(RequestId id) = 0;
};

}  // namespace berth::kube

#endif  // BERTH_CONTROLLER_KUBE_CLIENT_API_CLIENT_H_
