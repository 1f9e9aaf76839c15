// SPDX-License-Identifier: Apache-2.0
#include "agent/health/proc_node_reader.h"

#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <net/if.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "common/base/atomic_file.h"

namespace berth::agent {
namespace {

constexpr char kIpvsInterface[] = "kube-ipvs0";
constexpr char kNftablesTable[] = "kube-proxy";
// The IPVS mode makes most chains of the iptables mode, too, but not this one.
constexpr char kIptablesChain[] = "KUBE-NODEPORTS";
// Cilium can do kube-proxy's work by itself, where nothing of this can be seen.
constexpr char kCiliumInterface[] = "cilium_host";

bool IsThere(const char* interface) { return if_nametoindex(interface) != 0; }

}  // namespace

// Asks nftables whether a table or a chain of that name is there. One question, one answer, whatever their number.
class ProcNodeReader::Tables {
 public:
  Tables() : socket_(mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC)) {
    if (socket_ != nullptr && mnl_socket_bind(socket_, 0, MNL_SOCKET_AUTOPID) != 0) {
      mnl_socket_close(socket_);
      socket_ = nullptr;
    }
  }
  ~Tables() {
    if (socket_ != nullptr) mnl_socket_close(socket_);
  }
  Tables(const Tables&) = delete;
  Tables& operator=(const Tables&) = delete;

  // nullopt when the kernel does not say, for lack of a right or of nftables.
  std::optional<bool> HasTable(std::uint8_t family, const char* table) {
    return Has(NFT_MSG_GETTABLE, family, {{NFTA_TABLE_NAME, table}});
  }
  std::optional<bool> HasChain(std::uint8_t family, const char* table, const char* chain) {
    return Has(NFT_MSG_GETCHAIN, family, {{NFTA_CHAIN_TABLE, table}, {NFTA_CHAIN_NAME, chain}});
  }

 private:
  std::optional<bool> Has(int type, std::uint8_t family,
                          const std::vector<std::pair<std::uint16_t, const char*>>& names) {
    if (socket_ == nullptr) return std::nullopt;
    std::array<char, 8192> buffer{};
    nlmsghdr* header = mnl_nlmsg_put_header(buffer.data());
    header->nlmsg_type = static_cast<std::uint16_t>(NFNL_SUBSYS_NFTABLES << 8 | type);
    header->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
    header->nlmsg_seq = ++sequence_;
    auto* general = static_cast<nfgenmsg*>(mnl_nlmsg_put_extra_header(header, sizeof(nfgenmsg)));
    general->nfgen_family = family;
    general->version = NFNETLINK_V0;
    for (const auto& [attribute, name] : names) mnl_attr_put_strz(header, attribute, name);
    if (mnl_socket_sendto(socket_, header, header->nlmsg_len) < 0) return std::nullopt;
    // The kernel has queued its answers when the call returns.
    while (true) {
      const ssize_t got = recv(mnl_socket_get_fd(socket_), buffer.data(), buffer.size(), MSG_DONTWAIT);
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return std::nullopt;
      int rest = static_cast<int>(got);
      for (auto* m = reinterpret_cast<const nlmsghdr*>(buffer.data()); mnl_nlmsg_ok(m, rest);
           m = mnl_nlmsg_next(m, &rest)) {
        if (m->nlmsg_seq != sequence_ || m->nlmsg_type != NLMSG_ERROR) continue;
        if (m->nlmsg_len < mnl_nlmsg_size(sizeof(nlmsgerr))) return std::nullopt;
        const int error = -static_cast<const nlmsgerr*>(mnl_nlmsg_get_payload(m))->error;
        if (error == 0) return true;
        return error == ENOENT ? std::optional(false) : std::nullopt;
      }
    }
  }

  mnl_socket* socket_;
  std::uint32_t sequence_ = 0;
};

ProcNodeReader::ProcNodeReader(std::string proc) : proc_(std::move(proc)), tables_(std::make_unique<Tables>()) {}
ProcNodeReader::~ProcNodeReader() = default;

std::optional<int> ProcNodeReader::Number(const std::string& path) const {
  const absl::StatusOr<std::optional<std::string>> text = ReadFile(absl::StrCat(proc_, path));
  int number = 0;
  if (!text.ok() || !text->has_value() || !absl::SimpleAtoi(**text, &number)) return std::nullopt;
  return number;
}

std::optional<std::uint64_t> ProcNodeReader::Capabilities() const {
  const absl::StatusOr<std::optional<std::string>> text = ReadFile(absl::StrCat(proc_, "/self/status"));
  if (!text.ok() || !text->has_value()) return std::nullopt;
  for (absl::string_view line : absl::StrSplit(**text, '\n')) {
    std::uint64_t bits = 0;
    if (absl::ConsumePrefix(&line, "CapEff:") && absl::SimpleHexAtoi(line, &bits)) return bits;
  }
  return std::nullopt;
}

void ProcNodeReader::ReadKubeProxy(NodeFacts& facts) {
  facts.kube_proxy_known = true;
  const auto note = [&](KubeProxyMode mode, const std::optional<bool>& there) {
    if (!there.has_value()) facts.kube_proxy_known = false;
    if (there.value_or(false)) facts.kube_proxy.insert(mode);
  };
  note(KubeProxyMode::kIpvs, IsThere(kIpvsInterface));
  for (const std::uint8_t family : {NFPROTO_IPV4, NFPROTO_IPV6}) {
    note(KubeProxyMode::kNftables, tables_->HasTable(family, kNftablesTable));
    note(KubeProxyMode::kIptables, tables_->HasChain(family, "nat", kIptablesChain));
  }
  // Tables of the old iptables are there, and whose chains are in them cannot be seen without taking part in it.
  for (const char* names : {"/net/ip_tables_names", "/net/ip6_tables_names"}) {
    const absl::StatusOr<std::optional<std::string>> text = ReadFile(absl::StrCat(proc_, names));
    if (!text.ok() || absl::StrContains(text->value_or(""), "nat")) facts.kube_proxy_known = false;
  }
  if (IsThere(kCiliumInterface)) facts.kube_proxy_known = false;
}

NodeFacts ProcNodeReader::Read(const std::vector<std::string>& interfaces) {
  NodeFacts facts;
  facts.wall = absl::Now();
  facts.capabilities = Capabilities();
  const auto on = [&](const char* path) -> std::optional<bool> {
    const std::optional<int> number = Number(path);
    if (!number.has_value()) return std::nullopt;
    return *number != 0;
  };
  facts.forwarding = on("/sys/net/ipv4/ip_forward");
  facts.forwarding6 = on("/sys/net/ipv6/conf/all/forwarding");
  const std::optional<int> all = Number("/sys/net/ipv4/conf/all/rp_filter");
  for (const std::string& name : interfaces) {
    const std::optional<int> own = Number(absl::StrCat("/sys/net/ipv4/conf/", name, "/rp_filter"));
    if (all.has_value() && own.has_value()) facts.rp_filter[name] = std::max(*all, *own);
  }
  ReadKubeProxy(facts);
  facts.in_kubernetes = std::getenv("KUBERNETES_SERVICE_HOST") != nullptr;
  return facts;
}

}  // namespace berth::agent
