// SPDX-License-Identifier: Apache-2.0
#include "agent/effect/kernel/nft/nft_socket.h"

#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <libnftnl/common.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace berth::agent {
namespace {

constexpr int kDumpTries = 8;
constexpr std::size_t kReceiveBytes = 64 * 1024;
constexpr int kAnswerBufferBytes = 1 << 20;

// Asks for `bytes` of socket buffer, past the system's limit where we may.
void SetBuffer(int fd, int force_option, int option, int bytes) {
  if (setsockopt(fd, SOL_SOCKET, force_option, &bytes, sizeof(bytes)) != 0) {
    setsockopt(fd, SOL_SOCKET, option, &bytes, sizeof(bytes));
  }
}

int ErrorIn(const nlmsghdr* message) {
  if (message->nlmsg_len < mnl_nlmsg_size(sizeof(nlmsgerr))) return EBADMSG;
  return -static_cast<const nlmsgerr*>(mnl_nlmsg_get_payload(message))->error;
}

}  // namespace

absl::Status NftError(int error, absl::string_view what) {
  const std::string message = absl::StrCat("nftables: ", what, ": ", std::strerror(error));
  switch (error) {
    case EOPNOTSUPP:
    case EAFNOSUPPORT:
    case EPROTONOSUPPORT:
      return absl::UnimplementedError(
          absl::StrCat(message,
                       " (the kernel would answer for service addresses by itself; use a kernel with CONFIG_NF_TABLES, "
                       "CONFIG_NF_TABLES_ARP and, for IPv6, CONFIG_NF_TABLES_IPV6, or, for IPv4, set the sysctls "
                       "net.ipv4.conf.all.arp_ignore=1 and net.ipv4.conf.all.arp_announce=2)"));
    case EPERM:
    case EACCES:
      return absl::PermissionDeniedError(absl::StrCat(message, " (the agent needs CAP_NET_ADMIN)"));
    case ENOENT:
      return absl::NotFoundError(message);
    case ENOMEM:
    case ENOBUFS:
    case ENFILE:
    case EMSGSIZE:
      return absl::ResourceExhaustedError(message);
    default:
      return absl::InternalError(message);
  }
}

void MnlSocketClose::operator()(mnl_socket* socket) const { mnl_socket_close(socket); }

absl::Status NftSocket::Open() {
  if (is_open()) return absl::OkStatus();
  MnlSocketPtr socket(mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC));
  if (socket == nullptr) return NftError(errno, "open socket");
  if (mnl_socket_bind(socket.get(), 0, MNL_SOCKET_AUTOPID) != 0) return NftError(errno, "bind socket");
  const int on = 1;  // refusals need not carry the whole message that was refused
  mnl_socket_setsockopt(socket.get(), NETLINK_CAP_ACK, const_cast<int*>(&on), sizeof(on));
  SetBuffer(mnl_socket_get_fd(socket.get()), SO_RCVBUFFORCE, SO_RCVBUF, kAnswerBufferBytes);
  socket_ = std::move(socket);
  return absl::OkStatus();
}

std::uint32_t NftSocket::port_id() const { return is_open() ? mnl_socket_get_portid(socket_.get()) : 0; }

void NftSocket::Discard() {
  std::array<char, 256> buffer{};
  while (recv(mnl_socket_get_fd(socket_.get()), buffer.data(), buffer.size(), MSG_DONTWAIT) >= 0) {
  }
}

absl::Status NftSocket::Send(const void* bytes, std::size_t size) {
  Discard();
  if (mnl_socket_sendto(socket_.get(), bytes, size) < 0) {
    return NftError(errno, absl::StrCat("send ", size, " bytes"));
  }
  return absl::OkStatus();
}

absl::Status NftSocket::Commit(NftBatch batch) {
  RETURN_IF_ERROR(Open());
  batch.Finish();
  const int fd = mnl_socket_get_fd(socket_.get());
  SetBuffer(fd, SO_SNDBUFFORCE, SO_SNDBUF, static_cast<int>(2 * batch.bytes().size() + 65536));
  RETURN_IF_ERROR(Send(batch.bytes().data(), batch.bytes().size()));

  // The kernel has done its work and queued all its answers when the call returns, so there is nothing to wait for.
  std::optional<std::pair<std::uint32_t, int>> refused;
  bool acknowledged = false;
  std::vector<char> buffer(kReceiveBytes);
  while (true) {
    const ssize_t got = recv(fd, buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == ENOBUFS) continue;  // too many refusals to hold them all; the first ones are there
    if (got < 0) break;
    int rest = static_cast<int>(got);
    for (auto* m = reinterpret_cast<const nlmsghdr*>(buffer.data()); mnl_nlmsg_ok(m, rest);
         m = mnl_nlmsg_next(m, &rest)) {
      if (m->nlmsg_type != NLMSG_ERROR) continue;
      const int error = ErrorIn(m);
      if (error != 0 && !refused) refused.emplace(m->nlmsg_seq, error);
      acknowledged |= error == 0 && m->nlmsg_seq == batch.acknowledged();
    }
  }
  if (refused) return NftError(refused->second, batch.Describe(refused->first));
  if (!acknowledged) return absl::InternalError("nftables: commit: the kernel did not say whether it was done");
  return absl::OkStatus();
}

absl::Status NftSocket::Dump(std::uint16_t type, NftFamily family, const std::function<void(nlmsghdr*)>& payload,
                             const std::function<void()>& on_start,
                             const std::function<void(const nlmsghdr*)>& on_message) {
  RETURN_IF_ERROR(Open());
  for (int i = 0; i < kDumpTries; ++i) {
    on_start();
    bool interrupted = false;
    RETURN_IF_ERROR(DumpOnce(type, family, payload, on_message, &interrupted));
    if (!interrupted) return absl::OkStatus();
  }
  return absl::AbortedError("nftables: the ruleset changes faster than it can be read");
}

absl::Status NftSocket::DumpOnce(std::uint16_t type, NftFamily family, const std::function<void(nlmsghdr*)>& payload,
                                 const std::function<void(const nlmsghdr*)>& on_message, bool* interrupted) {
  std::array<char, 1024> request{};
  const std::uint32_t sequence = ++dump_sequence_;
  nlmsghdr* header =
      nftnl_nlmsg_build_hdr(request.data(), type, static_cast<std::uint16_t>(family), NLM_F_DUMP, sequence);
  payload(header);
  RETURN_IF_ERROR(Send(header, header->nlmsg_len));
  std::vector<char> buffer(kReceiveBytes);
  while (true) {
    const ssize_t got = recv(mnl_socket_get_fd(socket_.get()), buffer.data(), buffer.size(), 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return NftError(errno, "read the ruleset");
    int rest = static_cast<int>(got);
    for (auto* m = reinterpret_cast<const nlmsghdr*>(buffer.data()); mnl_nlmsg_ok(m, rest);
         m = mnl_nlmsg_next(m, &rest)) {
      if (m->nlmsg_seq != sequence) continue;
      if ((m->nlmsg_flags & NLM_F_DUMP_INTR) != 0) *interrupted = true;
      if (m->nlmsg_type == NLMSG_DONE) return absl::OkStatus();
      if (m->nlmsg_type == NLMSG_ERROR) {
        const int error = ErrorIn(m);
        return error == 0 ? absl::OkStatus() : NftError(error, "read the ruleset");
      }
      on_message(m);
    }
  }
}

}  // namespace berth::agent
