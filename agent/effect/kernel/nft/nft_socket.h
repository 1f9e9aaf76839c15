// SPDX-License-Identifier: Apache-2.0
// agent/effect/kernel/nft/nft_socket.h -- commits nftables transactions and reads the ruleset back.
//
// Loop thread only. Calls block only while the kernel works. Belongs to the network namespace it was opened in.
//
// Errors of all calls: Unimplemented     the kernel lacks nftables or the family in question; the message names the
// cure
//                      PermissionDenied  no CAP_NET_ADMIN
//                      NotFound          something named in the request is not there
//                      ResourceExhausted, Internal
#ifndef BERTH_AGENT_EFFECT_KERNEL_NFT_NFT_SOCKET_H_
#define BERTH_AGENT_EFFECT_KERNEL_NFT_NFT_SOCKET_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "agent/effect/kernel/nft/nft_batch.h"

struct mnl_socket;
struct nlmsghdr;

namespace berth::agent {

// The status for a kernel's refusal of `what` with `error` (an errno value).
absl::Status NftError(int error, absl::string_view what);

struct MnlSocketClose {
  void operator()(mnl_socket* socket) const;
};
using MnlSocketPtr = std::unique_ptr<mnl_socket, MnlSocketClose>;

class NftSocket {
 public:
  // Unless open already.
  absl::Status Open();
  bool is_open() const { return socket_ != nullptr; }
  // Events caused by this socket carry it.
  std::uint32_t port_id() const;

  // All of the batch or nothing; nobody sees a state in between.
  absl::Status Commit(NftBatch batch);
  // One NFT_MSG_GET... dump, repeated when a change interrupts it: `on_start` precedes each try. `payload` adds
  // attributes that narrow it down. NotFound when the table or set they name is not there.
  absl::Status Dump(std::uint16_t type, NftFamily family, const std::function<void(nlmsghdr*)>& payload,
                    const std::function<void()>& on_start, const std::function<void(const nlmsghdr*)>& on_message);

 private:
  absl::Status Send(const void* bytes, std::size_t size);
  absl::Status DumpOnce(std::uint16_t type, NftFamily family, const std::function<void(nlmsghdr*)>& payload,
                        const std::function<void(const nlmsghdr*)>& on_message, bool* interrupted);
  // Throws away answers that an earlier, failed call left behind.
  void Discard();

  MnlSocketPtr socket_;
  std::uint32_t dump_sequence_ = 1U << 31;  // apart from the numbers of batches
};

}  // namespace berth::agent

#endif  // BERTH_AGENT_EFFECT_KERNEL_NFT_NFT_SOCKET_H_
