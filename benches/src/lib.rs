//! Measurements live in `benches/`.
