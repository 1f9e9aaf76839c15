// SPDX-License-Identifier: Apache-2.0
#include "tools/berthctl/client.h"

#include "absl/status/statusor.h"
#include "common/base/host_port.h"

namespace berth::ctl {
namespace {

constexpr int kMaxAnswerBytes = 64 << 20;

}  // namespace

Outcome Client::Connect(const ConnectOptions& options) {
  options_ = options;
  const absl::StatusOr<HostPort> target = ParseTarget(options.server);
  if (!target.ok()) return Outcome::BadUsage(absl::StrCat("--server: ", target.status().message()));
  grpc::ChannelArguments args;
  args.SetMaxReceiveMessageSize(kMaxAnswerBytes);
  const auto credentials = ChannelCredentials(options.tls, {*target}, kControllerTlsName, args);
  if (!credentials.ok()) return Outcome::BadUsage(std::string(credentials.status().message()));
  channel_ = grpc::CreateCustomChannel(target->ToString(), *credentials, args);
  stub_ = v1::AdminService::NewStub(channel_);

  // Not WaitForConnected, which goes on trying after a refusal until the time is over.
  const auto deadline = std::chrono::system_clock::now() + options.connect_timeout;
  grpc_connectivity_state state = channel_->GetState(true);
  while (state != GRPC_CHANNEL_READY) {
    if (state == GRPC_CHANNEL_TRANSIENT_FAILURE || state == GRPC_CHANNEL_SHUTDOWN) {
      // A call on a failed channel fails at once, and only a call is told why.
      v1::GetVersionResponse ignored;
      Outcome why = Call(&Stub::GetVersion, v1::GetVersionRequest(), ignored);
      return why.ok() ? Outcome::Done() : why;
    }
    if (!channel_->WaitForStateChange(state, deadline)) {
      return Unreachable(absl::StrCat("no answer within ", options.connect_timeout.count(), " ms"));
    }
    state = channel_->GetState(true);
  }
  return Outcome::Done();
}

Outcome Client::Watch(const v1::WatchRequest& request, const std::function<bool(const v1::Change&)>& on_change,
                      std::chrono::system_clock::time_point deadline) {
  grpc::ClientContext context;
  context.set_deadline(deadline);
  const std::unique_ptr<grpc::ClientReader<v1::Change>> reader = stub_->Watch(&context, request);
  v1::Change change;
  while (reader->Read(&change)) {
    if (on_change(change)) continue;
    context.TryCancel();
    while (reader->Read(&change)) {
    }
    (void)reader->Finish();
    return Outcome::Done();
  }
  return ToOutcome(reader->Finish());
}

Outcome Client::ToOutcome(const grpc::Status& status) const {
  switch (status.error_code()) {
    case grpc::StatusCode::OK:
      return Outcome::Done();
    case grpc::StatusCode::UNAVAILABLE:
    case grpc::StatusCode::DEADLINE_EXCEEDED:
      return Unreachable(status.error_message());
    case grpc::StatusCode::UNIMPLEMENTED:
      // An empty text comes from gRPC itself: somebody else listens there, or an older controller.
      if (status.error_message().empty()) return Outcome::Refused("the server does not know this call");
      [[fallthrough]];
    default:
      return Outcome::Refused(status.error_message());
  }
}

Outcome Client::Unreachable(absl::string_view reason) const {
  return Outcome::NotReachable(absl::StrCat(
      "cannot reach the controller at ", options_.server, ": ", reason,
      "\nsee that berth-controller runs and that --server names its --admin-listen (and the TLS flags fit); in "
      "Kubernetes, forward the port first: kubectl -n openelb-system port-forward deploy/berth-controller 7444"));
}

}  // namespace berth::ctl
