// SPDX-License-Identifier: Apache-2.0
#include "tools/berthctl/explain.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "tools/berthctl/rows.h"

namespace berth::ctl {
namespace {

void Line(absl::string_view label, const std::string& value, std::string& out) {
  if (!value.empty()) absl::StrAppend(&out, absl::StrFormat("%-12s", absl::StrCat(label, ":")), value, "\n");
}

// "PENDING: PoolExhausted"
std::string StateAndReason(const v1::Service& service) {
  return service.reason().empty() ? StateWord(service) : absl::StrCat(StateWord(service), ": ", service.reason());
}

// "ANNOUNCED by node1 for 3m"
std::string Standing(const v1::Address& address, absl::Time now) {
  std::string text = StateWord(address);
  if (!address.holder().empty()) absl::StrAppend(&text, " by ", address.holder());
  if (address.has_since()) absl::StrAppend(&text, " for ", AgeOf(true, address.since(), now));
  return text;
}

void AppendNodes(const v1::Address& address, std::string& out) {
  Line("Candidates", address.candidates().empty() ? "none" : absl::StrJoin(address.candidates(), ", "), out);
  for (const std::string& refusal : address.refusals()) Line("Refused", refusal, out);
}

void AppendService(const v1::Service& service, std::string& out) {
  Line("Service", absl::StrCat(service.namespace_(), "/", service.name()), out);
  Line("State", StateAndReason(service), out);
  Line("Message", service.message(), out);
  Line("Protocol", service.protocol(), out);
  Line("Ports", absl::StrJoin(service.ports(), ", "), out);
  Line("Pools", absl::StrJoin(service.pools(), ", "), out);
  Line("Looked at", absl::StrJoin(service.candidate_pools(), ", "), out);
}

}  // namespace

std::string Explain(const v1::ExplainServiceResponse& answer, absl::Time now) {
  std::string out;
  AppendService(answer.service(), out);
  for (const v1::Address& address : answer.addresses()) {
    out += '\n';
    Line("Address", address.address(), out);
    Line("State", Standing(address, now), out);
    Line("Message", address.message(), out);
    Line("Pool", address.pool(), out);
    AppendNodes(address, out);
  }
  if (answer.addresses().empty()) Line("Addresses", absl::StrJoin(answer.service().addresses(), ", "), out);
  return out;
}

std::string Explain(const v1::ExplainAddressResponse& answer, absl::Time now) {
  std::string out;
  const v1::Address& address = answer.address();
  Line("Address", address.address(), out);
  Line("State", Standing(address, now), out);
  Line("Message", address.message(), out);
  Line("Pool", address.pool(), out);
  Line("Protocol", address.protocol(), out);
  AppendNodes(address, out);
  for (const v1::Service& service : answer.services()) {
    out += '\n';
    AppendService(service, out);
  }
  if (answer.services().empty()) Line("Services", absl::StrJoin(address.services(), ", "), out);
  return out;
}

std::string Explain(const v1::GetVersionResponse& answer) {
  const v1::Status& status = answer.status();
  std::string role = status.leader() ? "leader" : "standby";
  if (!status.leader() && !status.leader_name().empty()) absl::StrAppend(&role, ", ", status.leader_name(), " leads");
  if (!status.synced()) absl::StrAppend(&role, ", still reading its source");
  if (status.leader() && !status.started()) absl::StrAppend(&role, ", still waiting for its agents");
  std::string out;
  Line("Server", absl::StrCat(answer.version(), " (", answer.commit(), ")"), out);
  Line("Role", role, out);
  Line("Term", absl::StrCat(status.term()), out);
  for (const std::string& problem : status.problems()) Line("Problem", problem, out);
  return out;
}

}  // namespace berth::ctl
