// SPDX-License-Identifier: Apache-2.0
#include "instances/plans.hpp"
