"""Offline data, policies, the convex correction and the bundles that ship."""
