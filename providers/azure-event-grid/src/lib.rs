//! Azure Event Grid.
