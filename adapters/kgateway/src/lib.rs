//! Gateway module for kgateway, the default gateway.
