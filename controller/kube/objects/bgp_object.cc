// SPDX-License-Identifier: Apache-2.0
#include "controller/kube/objects/bgp_object.h"

#include <array>
#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/net/ip_addr.h"
#include "common/net/quote.h"
#include "controller/kube/objects/read_field.h"

namespace berth::kube {
namespace {

using nlohmann::json;

constexpr std::int64_t kMaxAs = std::numeric_limits<std::uint32_t>::max();
constexpr std::int64_t kMaxPort = 65535;

// Says of which field of which object it speaks. The first thing that is wrong stays.
class Checker {
 public:
  Checker(const char* kind, const json& object) : who_(absl::StrCat(kind, " ", Quote(IdOf(object).name), ": spec.")) {}

  void Fail(absl::string_view field, absl::string_view what) {
    if (status_.ok()) status_ = absl::InvalidArgumentError(absl::StrCat(who_, field, " ", what));
  }
  // An integer from `low` to `high`, or absent; absent reads as 0.
  std::int64_t Int(const json& map, const char* key, absl::string_view field, std::int64_t low, std::int64_t high) {
    const auto it = map.find(key);
    if (it == map.end() || it->is_null()) return 0;
    const bool fits = it->is_number_integer() && (!it->is_number_unsigned() || it->get<std::uint64_t>() <= kMaxJson);
    const std::int64_t value = fits ? it->get<std::int64_t>() : -1;
    if (!fits || value < low || value > high) {
      Fail(field, absl::StrCat("is ", it->dump().substr(0, 40), "; it must be a number from ", low, " to ", high));
    }
    return value;
  }
  // Seconds, which GoBGP's JSON has as a string; absent reads as 0.
  std::int64_t Seconds(const json& map, const char* key) {
    const std::string text = StringAt(map, key);
    std::int64_t value = 0;
    if (!text.empty() && (!absl::SimpleAtoi(text, &value) || value < 0 || value > kMaxPort)) {
      Fail(absl::StrCat("timers.config.", key),
           absl::StrCat("is ", Quote(text), "; it must be a number of seconds in quotes, such as \"30\""));
    }
    return value;
  }
  void Address(const std::string& text, absl::string_view field, bool only_ipv4 = false) {
    if (text.empty()) return;
    const absl::StatusOr<IpAddr> address = IpAddr::Parse(text);
    if (address.ok() && (!only_ipv4 || address->family() == Family::kIpv4)) return;
    Fail(field, absl::StrCat("is ", Quote(text), ", which is no ", only_ipv4 ? "IPv4" : "IP",
                             " address; write one such as 192.0.2.1"));
  }
  void OneOf(const std::string& text, absl::string_view field, std::initializer_list<absl::string_view> words,
             absl::string_view list) {
    if (text.empty()) return;
    for (const absl::string_view word : words) {
      if (text == word) return;
    }
    Fail(field, absl::StrCat("is ", Quote(text), "; it must be one of ", list));
  }
  const absl::Status& status() const { return status_; }

 private:
  static constexpr std::uint64_t kMaxJson = std::numeric_limits<std::int64_t>::max();
  const std::string who_;
  absl::Status status_;
};

void CheckTimers(Checker& check, const json& config) {
  check.Seconds(config, "connectRetry");
  check.Seconds(config, "minimumAdvertisementInterval");
  const std::int64_t hold = check.Seconds(config, "holdTime");
  const std::int64_t keepalive = check.Seconds(config, "keepaliveInterval");
  // RFC 4271, section 4.2.
  if (hold == 1 || hold == 2)
    check.Fail("timers.config.holdTime", "is less than 3 seconds; it must be 0, or 3 or more");
  if (hold > 0 && keepalive >= hold) {
    check.Fail("timers.config.keepaliveInterval",
               absl::StrCat("is ", keepalive, " seconds, no less than holdTime ", hold, "; a third of it is usual"));
  }
}

void CheckSelector(Checker& check, const json& selector) {
  for (const json& requirement : ListAt(selector, "matchExpressions")) {
    const std::string key = StringAt(requirement, "key"), op = StringAt(requirement, "operator");
    const std::string field = absl::StrCat("nodeSelector.matchExpressions, key ", Quote(key), ",");
    if (key.empty()) check.Fail("nodeSelector.matchExpressions", "has an entry without a key");
    if (op != "In" && op != "NotIn" && op != "Exists" && op != "DoesNotExist") {
      check.Fail(field, absl::StrCat("has operator ", Quote(op), "; write In, NotIn, Exists or DoesNotExist"));
    }
    const bool needs_values = op == "In" || op == "NotIn";
    if (needs_values == ListAt(requirement, "values").empty()) {
      check.Fail(field, absl::StrCat("has operator ", op,
                                     needs_values ? " and no values; list some" : " and values; leave them out"));
    }
  }
}

}  // namespace

absl::Status CheckBgpConf(const json& object) {
  Checker check("BgpConf", object);
  const json& spec = MapAt(object, "spec");
  if (check.Int(spec, "as", "as", 0, kMaxAs) == 0) {
    check.Fail("as", "is missing; write this cluster's AS number, such as 64512");
  }
  for (const auto& [rack, as] : MapAt(spec, "asPerRack").items()) {
    check.Int(MapAt(spec, "asPerRack"), rack.c_str(), absl::StrCat("asPerRack[", Quote(rack), "]"), 1, kMaxAs);
  }
  check.Address(StringAt(spec, "routerId"), "routerId", /*only_ipv4=*/true);
  check.Int(spec, "listenPort", "listenPort", std::numeric_limits<std::int32_t>::min(), kMaxPort);
  for (const json& address : ListAt(spec, "listenAddresses")) {
    check.Address(address.is_string() ? address.get<std::string>() : address.dump(), "listenAddresses");
  }
  return check.status();
}

absl::Status CheckBgpPeer(const json& object) {
  Checker check("BgpPeer", object);
  const json& spec = MapAt(object, "spec");
  const json& conf = MapAt(spec, "conf");
  const std::string address = StringAt(conf, "neighborAddress");
  if (address.empty() && StringAt(conf, "neighborInterface").empty()) {
    check.Fail("conf.neighborAddress", "is missing; write the neighbour's IP address, such as 192.0.2.1");
  }
  check.Address(address, "conf.neighborAddress");
  if (check.Int(conf, "peerAs", "conf.peerAs", 0, kMaxAs) == 0 && StringAt(conf, "peerGroup").empty()) {
    check.Fail("conf.peerAs", "is missing; write the neighbour's AS number, such as 64512");
  }
  check.Int(conf, "localAs", "conf.localAs", 0, kMaxAs);
  check.Int(conf, "allowOwnAs", "conf.allowOwnAs", 0, 255);
  check.OneOf(StringAt(conf, "removePrivateAs"), "conf.removePrivateAs", {"NONE", "ALL", "REPLACE"},
              "NONE, ALL, REPLACE");
  const json& transport = MapAt(spec, "transport");
  check.Address(StringAt(transport, "remoteAddress"), "transport.remoteAddress");
  check.Int(transport, "remotePort", "transport.remotePort", 0, kMaxPort);
  check.Int(transport, "tcpMss", "transport.tcpMss", 0, kMaxPort);
  check.Int(MapAt(spec, "ebgpMultihop"), "multihopTtl", "ebgpMultihop.multihopTtl", 0, 255);
  CheckTimers(check, MapAt(MapAt(spec, "timers"), "config"));
  for (const json& afi_safi : ListAt(spec, "afiSafis")) {
    const json& family = MapAt(MapAt(afi_safi, "config"), "family");
    check.OneOf(StringAt(family, "afi"), "afiSafis.config.family.afi", {"AFI_IP", "AFI_IP6"}, "AFI_IP, AFI_IP6");
    check.OneOf(StringAt(family, "safi"), "afiSafis.config.family.safi", {"SAFI_UNICAST"}, "SAFI_UNICAST");
  }
  CheckSelector(check, MapAt(spec, "nodeSelector"));
  return check.status();
}

}  // namespace berth::kube
