// SPDX-License-Identifier: Apache-2.0
#include <limits>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/net/quote.h"
#include "controller/files/manifest/fields.h"
#include "controller/files/manifest/manifest.h"
#include "controller/files/manifest/read_text.h"
#include "controller/files/state_codec.h"

namespace berth::files {
namespace {

constexpr absl::string_view kFile = "state.json";
constexpr absl::string_view kFormat = "berth-state/1";

void Required(FieldReader& read, const Field& field) {
  if (!field.present() && read.ok()) read.Problem(field, "is missing");
}

absl::string_view RequiredString(FieldReader& read, const Field& parent, absl::string_view key) {
  const Field field = read.Get(parent, key);
  Required(read, field);
  return read.String(field).value_or("");
}

template <typename T>
T Parsed(FieldReader& read, const Field& parent, absl::string_view key) {
  const absl::string_view text = RequiredString(read, parent, key);
  absl::StatusOr<T> value = T::Parse(text);
  if (value.ok()) return *std::move(value);
  if (read.ok()) read.Problem(read.Get(parent, key), value.status().message());
  return T();
}

model::Allocation DecodeAllocation(FieldReader& read, const Field& element) {
  model::Allocation allocation;
  allocation.address = Parsed<IpAddr>(read, element, "address");
  allocation.pool = std::string(RequiredString(read, element, "pool"));
  const absl::string_view protocol = RequiredString(read, element, "protocol");
  if (const auto known = model::ParseProtocol(protocol)) {
    allocation.protocol = *known;
  } else if (read.ok()) {
    read.Problem(read.Get(element, "protocol"), absl::StrCat(Quote(protocol), " is not one of bgp, layer2, vip"));
  }
  allocation.interface = std::string(read.String(element, "interface").value_or(""));
  return allocation;
}

void DecodeRecord(FieldReader& read, const Field& element, StateData& state) {
  const absl::string_view name = RequiredString(read, element, "service");
  const std::size_t slash = name.find('/');
  if (slash == absl::string_view::npos) {
    if (read.ok()) read.Problem(element, absl::StrCat("service ", Quote(name), " is not namespace/name"));
    return;
  }
  const model::ObjectId id{std::string(name.substr(0, slash)), std::string(name.substr(slash + 1))};
  RecordedService record;
  const Field allocations = read.List(element, "allocations");
  Required(read, allocations);
  for (const Field& allocation : read.Elements(allocations)) {
    record.allocations.push_back(DecodeAllocation(read, allocation));
  }
  record.managed_by = std::string(read.String(element, "managedBy").value_or(""));
  record.hold = read.Bool(element, "hold").value_or(false);
  record.file = std::string(read.String(element, "file").value_or(""));
  const Field manifest = read.Map(element, "manifest");
  if (manifest.present()) {
    ParsedFile parsed;
    ParseObject(kFile, *manifest.value(), parsed);
    const bool is_it = parsed.objects.size() == 1 && parsed.objects[0].key == ObjectKey{ObjectKind::kService, id};
    if (is_it) {
      record.spec =
          std::make_shared<const model::Service>(std::get<model::Service>(std::move(parsed.objects[0].value)));
    } else {
      read.Problem(manifest, absl::StrCat("is not a manifest of Service ", Quote(name)));
    }
  }
  if (!state.services.emplace(id, std::move(record)).second) {
    read.Problem(element, absl::StrCat("Service ", Quote(name), " is in it twice"));
  }
}

void DecodeAgent(FieldReader& read, const Field& element, StateData& state) {
  model::ClusterSource::KnownAgent agent;
  agent.node = std::string(RequiredString(read, element, "node"));
  for (const std::string& text : read.Strings(element, "macs")) {
    absl::StatusOr<MacAddr> mac = MacAddr::Parse(text);
    if (mac.ok()) {
      agent.macs.push_back(*mac);
    } else {
      read.Problem(element, mac.status().message());
    }
  }
  agent.drained = read.Bool(element, "drained").value_or(false);
  state.agents.push_back(std::move(agent));
}

}  // namespace

absl::StatusOr<StateData> DecodeState(absl::string_view text) {
  ASSIGN_OR_RETURN(const Documents docs, ReadJson(text));
  if (docs.roots.size() != 1 || docs.roots[0].kind != Value::Kind::kMap) {
    return absl::InvalidArgumentError("1: is not a JSON object");
  }
  const Field root(docs.roots[0]);
  FieldReader read(kFile, "");
  const absl::string_view format = RequiredString(read, root, "format");
  if (read.ok() && format != kFormat) {
    return absl::FailedPreconditionError(absl::StrCat("format ", Quote(format), " is not ", Quote(kFormat),
                                                      ", use the version of berth-controller that wrote it"));
  }
  StateData state;
  const Field term = read.Get(root, "term");
  Required(read, term);
  // Not FieldReader::Int: a term may pass 2^63.
  if (term.present() &&
      (term.value()->kind != Value::Kind::kInt || !absl::SimpleAtoi(term.value()->text, &state.term))) {
    read.Problem(term, "must be a number that is not negative");
  }
  const Field agents = read.List(root, "agents");
  const Field services = read.List(root, "services");
  Required(read, agents);
  Required(read, services);
  for (const Field& element : read.Elements(agents)) DecodeAgent(read, element, state);
  for (const Field& element : read.Elements(services)) DecodeRecord(read, element, state);
  if (!read.ok()) return absl::InvalidArgumentError(read.problems().front());
  return state;
}

}  // namespace berth::files
