// SPDX-License-Identifier: Apache-2.0
// controller/kube/client/curl_handle.h -- one transfer as libcurl sees it: what is asked, and what has come back so
// far. With curl.h, so for curl_*.cc only; engine thread only.
#ifndef BERTH_CONTROLLER_KUBE_CLIENT_CURL_HANDLE_H_
#define BERTH_CONTROLLER_KUBE_CLIENT_CURL_HANDLE_H_

#include <curl/curl.h>

#include <array>
#include <functional>
#include <memory>
#include <set>
#include <string>

#include "absl/time/time.h"
#include "controller/kube/client/curl_engine.h"

namespace berth::kube {

struct CurlDeleter {
  void operator()(CURL* handle) const { curl_easy_cleanup(handle); }
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};

// What all handles of one engine share.
struct CurlShared {
  const Clock& clock;
  const CurlEngine::Options& options;
  const CurlEngine::Callbacks& callbacks;
  std::set<int> sockets;  // open
  absl::Time last_byte = absl::InfinitePast();
};

// Lives where it was made: curl has its address.
class CurlHandle {
 public:
  CurlHandle(CurlShared& shared, Transfer transfer, const KubeConfig& config, const Credentials::Secrets& secrets);
  CurlHandle(const CurlHandle&) = delete;
  CurlHandle& operator=(const CurlHandle&) = delete;

  CURL* easy() const { return easy_.get(); }
  RequestId id() const { return transfer_.id; }
  // When it is to be ended if nothing comes; curl itself minds the timeout of all but streams.
  absl::Time deadline() const { return deadline_; }
  bool began() const { return code_ != 0; }
  absl::Time heard_at() const { return heard_at_; }  // when its last bytes came; before any, when it was started
  bool sent() const { return sent_; }

  // What became of it. `result` is curl's word; `why`, when not empty, ours.
  Outcome Finish(CURLcode result, const std::string& why = "");

 private:
  void SetUrl(const KubeConfig& config);
  void SetTls(const KubeConfig& config, const Credentials::Secrets& secrets);
  void SetBody();
  void AddHeader(const std::string& line);
  static std::size_t OnHeader(char* data, std::size_t size, std::size_t n, void* self);
  static std::size_t OnBody(char* data, std::size_t size, std::size_t n, void* self);
  static int OnRequest(void* self, char* ip, char* local_ip, int port, int local_port);
  static curl_socket_t OnSocket(void* shared, curlsocktype purpose, curl_sockaddr* address);
  static int OnCloseSocket(void* shared, curl_socket_t socket);
  void Heard();
  std::size_t Header(std::string line);
  std::size_t Body(absl::string_view bytes);
  std::size_t Lines(absl::string_view bytes);

  CurlShared& shared_;
  const Transfer transfer_;
  std::unique_ptr<CURL, CurlDeleter> easy_;
  std::unique_ptr<curl_slist, CurlDeleter> headers_, connect_to_;
  std::array<char, CURL_ERROR_SIZE> error_{};
  const absl::Time started_;
  absl::Time heard_at_ = started_, head_at_;
  absl::Time deadline_ = absl::InfiniteFuture();
  bool sent_ = false;  // or at least begun to
  bool late_ = false, twice_ = false, too_large_ = false;
  int code_ = 0;
  std::string body_;  // of a stream: the line that has begun
  std::optional<absl::Duration> retry_after_;
};

}  // namespace berth::kube

#endif  // BERTH_CONTROLLER_KUBE_CLIENT_CURL_HANDLE_H_
