// SPDX-License-Identifier: Apache-2.0
#include "agent/effect/kernel/nft/nft_monitor.h"

#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <sys/socket.h>

#include <cerrno>
#include <utility>
#include <vector>

#include "agent/effect/kernel/nft/nft_rules.h"

namespace berth::agent {
namespace {

constexpr std::size_t kMonitorBytes = 64 * 1024;

// The table's name is attribute 1 of tables, chains, rules, sets, elements, objects and flow tables alike.
static_assert(NFTA_TABLE_NAME == 1 && NFTA_CHAIN_TABLE == 1 && NFTA_RULE_TABLE == 1 && NFTA_SET_TABLE == 1 &&
              NFTA_SET_ELEM_LIST_TABLE == 1 && NFTA_OBJ_TABLE == 1 && NFTA_FLOWTABLE_TABLE == 1);

bool IsOurTable(const nlmsghdr* message) {
  if (NFNL_SUBSYS_ID(message->nlmsg_type) != NFNL_SUBSYS_NFTABLES) return false;
  const int type = NFNL_MSG_TYPE(message->nlmsg_type);
  if (type == NFT_MSG_NEWGEN || type == NFT_MSG_TRACE) return false;  // no table in them
  if (message->nlmsg_len < mnl_nlmsg_size(sizeof(nfgenmsg))) return false;
  const auto* header = static_cast<const nfgenmsg*>(mnl_nlmsg_get_payload(message));
  const auto is_of = [header](NftFamily family) { return header->nfgen_family == static_cast<std::uint8_t>(family); };
  if (!is_of(NftFamily::kArp) && !is_of(NftFamily::kIp6) && !is_of(NftFamily::kInet)) return false;
  bool ours = false;
  mnl_attr_parse(
      message, sizeof(nfgenmsg),
      [](const nlattr* attribute, void* out) {
        if (mnl_attr_get_type(attribute) != NFTA_TABLE_NAME) return MNL_CB_OK;
        *static_cast<bool*>(out) = mnl_attr_validate(attribute, MNL_TYPE_NUL_STRING) >= 0 &&
                                   absl::string_view(mnl_attr_get_str(attribute)) == kNftTable;
        return MNL_CB_STOP;
      },
      &ours);
  return ours;
}

}  // namespace

absl::Status NftMonitor::Open(int buffer_bytes) {
  MnlSocketPtr socket(mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (socket == nullptr) return NftError(errno, "open event socket");
  const int fd = mnl_socket_get_fd(socket.get());
  if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &buffer_bytes, sizeof(buffer_bytes)) != 0) {
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &buffer_bytes, sizeof(buffer_bytes));
  }
  if (mnl_socket_bind(socket.get(), 0, MNL_SOCKET_AUTOPID) != 0) return NftError(errno, "bind event socket");
  int group = NFNLGRP_NFTABLES;
  if (mnl_socket_setsockopt(socket.get(), NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)) != 0) {
    return NftError(errno, "subscribe to changes");
  }
  socket_ = std::move(socket);
  return absl::OkStatus();
}

int NftMonitor::fd() const { return mnl_socket_get_fd(socket_.get()); }

bool NftMonitor::Drain(std::uint32_t own_port) {
  bool touched = false;
  std::vector<char> buffer(kMonitorBytes);
  while (true) {
    const ssize_t got = recv(fd(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == ENOBUFS) {
      touched = true;  // perhaps: what was lost cannot be told
      continue;
    }
    if (got < 0) return touched;
    int rest = static_cast<int>(got);
    for (auto* m = reinterpret_cast<const nlmsghdr*>(buffer.data()); mnl_nlmsg_ok(m, rest);
         m = mnl_nlmsg_next(m, &rest)) {
      if (m->nlmsg_pid != own_port && IsOurTable(m)) touched = true;
    }
  }
}

}  // namespace berth::agent
