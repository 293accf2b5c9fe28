# SPDX-License-Identifier: Apache-2.0
"""The pieces of `make demo-imgforge`: pictures, an origin that serves them, and clients that ask imgforge for them."""
