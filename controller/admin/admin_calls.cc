// SPDX-License-Identifier: Apache-2.0
#include "controller/admin/admin_calls.h"

#include <optional>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "common/base/build_info.h"
#include "common/base/status_macros.h"
#include "common/net/quote.h"
#include "controller/admin/convert.h"
#include "controller/admin/page.h"
#include "controller/doctor/doctor.h"

namespace berth::admin {
namespace {

using model::AddressView;
using model::AgentView;
using model::ObjectId;
using model::PoolView;
using model::ServiceView;

std::string TextOf(const std::string& name) { return name; }
std::string TextOf(const ObjectId& id) { return id.ToString(); }
std::string TextOf(const IpAddr& address) { return address.ToString(); }

absl::StatusOr<std::string> NameFromText(const std::string& text) { return text; }
absl::StatusOr<ObjectId> IdFromText(const std::string& text) {
  const std::size_t slash = text.find('/');
  if (slash == std::string::npos) {
    return absl::InvalidArgumentError(absl::StrCat("page_token names no Service: ", Quote(text)));
  }
  return ObjectId{text.substr(0, slash), text.substr(slash + 1)};
}
absl::StatusOr<IpAddr> AddressFromText(const std::string& text) {
  absl::StatusOr<IpAddr> address = IpAddr::Parse(text);
  if (!address.ok()) return Annotate(address.status(), "page_token names no address");
  return address;
}

// One page of `views` into `list`, the repeated field of `response`.
template <typename View, typename Request, typename Response, typename List, typename KeyOf, typename FromText>
absl::Status AnswerPage(std::vector<View> views, const Request& request, absl::string_view name, KeyOf key_of,
                        FromText from_text, List* list, Response& response) {
  ASSIGN_OR_RETURN(Page<View> page, TakePage(
                                        std::move(views), request.page_size(), request.page_token(), name, key_of,
                                        [](const auto& key) { return TextOf(key); }, from_text));
  list->Reserve(static_cast<int>(page.items.size()));
  for (const View& view : page.items) *list->Add() = ToProto(view);
  response.set_next_page_token(std::move(page.next_page_token));
  return absl::OkStatus();
}

absl::StatusOr<IpAddr> ParseAddress(const std::string& text) {
  if (text.empty()) return absl::InvalidArgumentError("address is empty");
  return IpAddr::Parse(text);
}

template <typename View>
void AddAll(const std::vector<View>& views, std::vector<model::ChangeView>& changes,
            std::optional<View> model::ChangeView::* member) {
  for (const View& view : views) changes.emplace_back().*member = view;
}

}  // namespace

absl::Status Answer(const CallContext& context, const v1::ListPoolsRequest& request, v1::ListPoolsResponse& response) {
  return AnswerPage(
      context.backend.Pools(), request, "pools", [](const PoolView& v) -> const std::string& { return v.name; },
      NameFromText, response.mutable_pools(), response);
}

absl::Status Answer(const CallContext& context, const v1::ListServicesRequest& request,
                    v1::ListServicesResponse& response) {
  return AnswerPage(
      context.backend.Services(), request, "services", [](const ServiceView& v) -> const ObjectId& { return v.id; },
      IdFromText, response.mutable_services(), response);
}

absl::Status Answer(const CallContext& context, const v1::ListAddressesRequest& request,
                    v1::ListAddressesResponse& response) {
  return AnswerPage(
      context.backend.Addresses(), request, "addresses",
      [](const AddressView& v) -> const IpAddr& { return v.address; }, AddressFromText, response.mutable_addresses(),
      response);
}

absl::Status Answer(const CallContext& context, const v1::ListAgentsRequest& request,
                    v1::ListAgentsResponse& response) {
  return AnswerPage(
      context.backend.Agents(), request, "agents", [](const AgentView& v) -> const std::string& { return v.node; },
      NameFromText, response.mutable_agents(), response);
}

absl::Status Answer(const CallContext& context, const v1::ExplainServiceRequest& request,
                    v1::ExplainServiceResponse& response) {
  ASSIGN_OR_RETURN(const ObjectId id, ParseObjectId(request.namespace_(), request.name()));
  ASSIGN_OR_RETURN(const ServiceView view, context.backend.ExplainService(id));
  *response.mutable_service() = ToProto(view);
  for (const IpAddr& address : view.addresses) {
    const absl::StatusOr<AddressView> explained = context.backend.ExplainAddress(address);
    if (explained.ok()) *response.add_addresses() = ToProto(*explained);
  }
  return absl::OkStatus();
}

absl::Status Answer(const CallContext& context, const v1::ExplainAddressRequest& request,
                    v1::ExplainAddressResponse& response) {
  ASSIGN_OR_RETURN(const IpAddr address, ParseAddress(request.address()));
  ASSIGN_OR_RETURN(const AddressView view, context.backend.ExplainAddress(address));
  *response.mutable_address() = ToProto(view);
  for (const ObjectId& id : view.services) {
    const absl::StatusOr<ServiceView> explained = context.backend.ExplainService(id);
    if (explained.ok()) *response.add_services() = ToProto(*explained);
  }
  return absl::OkStatus();
}

absl::Status Answer(const CallContext& context, const v1::DrainNodeRequest& request, v1::DrainNodeResponse& response) {
  RETURN_IF_ERROR(CheckName("node", request.node()));
  ASSIGN_OR_RETURN(const model::DrainView view, context.backend.DrainNode(request.node()));
  *response.mutable_agent() = ToProto(view.agent);
  for (const IpAddr& address : view.moving) response.add_moving(address.ToString());
  for (const AddressView& address : view.staying) *response.add_staying() = ToProto(address);
  return absl::OkStatus();
}

absl::Status Answer(const CallContext& context, const v1::UndrainNodeRequest& request,
                    v1::UndrainNodeResponse& response) {
  RETURN_IF_ERROR(CheckName("node", request.node()));
  ASSIGN_OR_RETURN(const AgentView view, context.backend.UndrainNode(request.node()));
  *response.mutable_agent() = ToProto(view);
  return absl::OkStatus();
}

absl::Status Answer(const CallContext& context, const v1::MoveAddressRequest& request,
                    v1::MoveAddressResponse& response) {
  ASSIGN_OR_RETURN(const IpAddr address, ParseAddress(request.address()));
  RETURN_IF_ERROR(CheckName("node", request.node()));
  ASSIGN_OR_RETURN(const AddressView view, context.backend.MoveAddress(address, request.node()));
  *response.mutable_address() = ToProto(view);
  return absl::OkStatus();
}

absl::Status Answer(const CallContext& context, const v1::RebalanceRequest& request, v1::RebalanceResponse& response) {
  ASSIGN_OR_RETURN(const std::vector<model::MoveView> moves, context.backend.Rebalance(request.dry_run()));
  for (const model::MoveView& move : moves) {
    v1::RebalanceResponse::Move& added = *response.add_moves();
    added.set_address(move.address.ToString());
    added.set_from(move.from);
    added.set_to(move.to);
  }
  return absl::OkStatus();
}

void Diagnose(const CallContext& context, const model::LanCensus& census, v1::DoctorResponse& response) {
  const doctor::Patient patient{.version = std::string(BuildVersion()),
                                .wall_now = context.wall_now,
                                .status = context.backend.Status(),
                                .pools = context.backend.Pools(),
                                .services = context.backend.Services(),
                                .addresses = context.backend.Addresses(),
                                .agents = context.backend.Agents(),
                                .census = census};
  for (const model::FindingView& finding : doctor::Diagnose(patient)) *response.add_findings() = ToProto(finding);
  response.set_announced(static_cast<std::uint32_t>(census.announced));
  response.set_asked(static_cast<std::uint32_t>(census.asked));
}

absl::Status Answer(const CallContext& context, const v1::DumpRequest&, v1::DumpResponse& response) {
  if (google::protobuf::Timestamp now; ToTimestamp(context.wall_now, now)) *response.mutable_time() = now;
  response.set_version(std::string(BuildVersion()));
  *response.mutable_status() = ToProto(context.backend.Status());
  for (const PoolView& view : context.backend.Pools()) *response.add_pools() = ToProto(view);
  for (const ServiceView& view : context.backend.Services()) *response.add_services() = ToProto(view);
  for (const AddressView& view : context.backend.Addresses()) *response.add_addresses() = ToProto(view);
  for (const AgentView& view : context.backend.Agents()) *response.add_agents() = ToProto(view);
  return absl::OkStatus();
}

absl::Status Answer(const CallContext& context, const v1::GetVersionRequest&, v1::GetVersionResponse& response) {
  response.set_version(std::string(BuildVersion()));
  response.set_commit(std::string(BuildCommit()));
  *response.mutable_status() = ToProto(context.backend.Status());
  return absl::OkStatus();
}

std::vector<model::ChangeView> Everything(const model::AdminBackend& backend) {
  std::vector<model::ChangeView> all;
  AddAll(backend.Pools(), all, &model::ChangeView::pool);
  AddAll(backend.Services(), all, &model::ChangeView::service);
  AddAll(backend.Addresses(), all, &model::ChangeView::address);
  AddAll(backend.Agents(), all, &model::ChangeView::agent);
  return all;
}

}  // namespace berth::admin
