// SPDX-License-Identifier: Apache-2.0
// tools/berthctl/client.h -- a connection to one controller's admin API.
//
//   Client client;
//   if (Outcome o = client.Connect({.server = "127.0.0.1:7444"}); !o.ok()) return o;
//   v1::ListPoolsResponse pools;
//   if (Outcome o = client.List(&Client::Stub::ListPools, pools); !o.ok()) return o;
#ifndef BERTH_TOOLS_BERTHCTL_CLIENT_H_
#define BERTH_TOOLS_BERTHCTL_CLIENT_H_

#include <grpcpp/grpcpp.h>

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "berth/admin/v1/admin.grpc.pb.h"
#include "common/tls/credentials.h"
#include "tools/berthctl/outcome.h"

namespace berth::ctl {

namespace v1 = admin::v1;

struct ConnectOptions {
  std::string server = "127.0.0.1:7444";  // HOST:PORT
  TlsFlags tls;
  std::chrono::milliseconds connect_timeout{2000};
  std::chrono::milliseconds call_timeout{30000};
};

// One thread. A call before a good Connect is a bug.
class Client {
 public:
  using Stub = v1::AdminService::Stub;
  template <typename Request, typename Response>
  using Method = grpc::Status (Stub::*)(grpc::ClientContext*, const Request&, Response*);

  // kBadUsage for an address or TLS flags that cannot be, kNotReachable when nobody answers in time.
  Outcome Connect(const ConnectOptions& options);

  template <typename Request, typename Response>
  Outcome Call(Method<Request, Response> method, const Request& request, Response& response) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + options_.call_timeout);
    return ToOutcome((stub_.get()->*method)(&context, request, &response));
  }

  // All pages into one message, whose next_page_token stays empty.
  template <typename Request, typename Response>
  Outcome List(Method<Request, Response> method, Response& all) {
    Request request;
    request.set_page_size(kPageSize);
    for (;;) {
      Response page;
      if (Outcome outcome = Call(method, request, page); !outcome.ok()) return outcome;
      const std::string next = page.next_page_token();
      page.clear_next_page_token();
      all.MergeFrom(page);
      if (next.empty()) return Outcome::Done();
      if (next == request.page_token()) return Outcome::Refused("the server's list has no end: it repeats a page");
      request.set_page_token(next);
    }
  }

  // Until the server ends the stream, `on_change` returns false, or `deadline` has come (kNotReachable). `on_change`
  // may make calls.
  Outcome Watch(const v1::WatchRequest& request, const std::function<bool(const v1::Change&)>& on_change,
                std::chrono::system_clock::time_point deadline = std::chrono::system_clock::time_point::max());

 private:
  static constexpr int kPageSize = 5000;
  Outcome ToOutcome(const grpc::Status& status) const;
  Outcome Unreachable(absl::string_view reason) const;

  ConnectOptions options_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<Stub> stub_;
};

}  // namespace berth::ctl

#endif  // BERTH_TOOLS_BERTHCTL_CLIENT_H_
