// SPDX-License-Identifier: Apache-2.0
#include "tests/fakes/shared_kernel.h"

#include <utility>

namespace berth::agent {

void SharedKernel::OnKernelState(std::shared_ptr<const KernelState> state) {
  for (SharedKernelView* view : views_) view->Tell(state);
}

void SharedKernel::OnSilenceDisturbed() {
  for (SharedKernelView* view : views_) view->TellDisturbed();
}

absl::Status SharedKernelView::Start(Observer& observer) {
  observer_ = &observer;
  shared_.views_.push_back(this);
  observer.OnKernelState(std::make_shared<const KernelState>(shared_.fake_.state()));
  return absl::OkStatus();
}

void SharedKernelView::Tell(std::shared_ptr<const KernelState> state) {
  process_.Post([this, alive = std::weak_ptr<int>(alive_), state = std::move(state)] {
    if (!alive.expired()) observer_->OnKernelState(state);
  });
}

void SharedKernelView::TellDisturbed() {
  process_.Post([this, alive = std::weak_ptr<int>(alive_)] {
    if (!alive.expired()) observer_->OnSilenceDisturbed();
  });
}

}  // namespace berth::agent
