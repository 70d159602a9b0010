//! A ring of the last values seen.

use std::collections::HashMap;
use std::fmt;

/// Keeps the last `N` values.
#[derive(Debug, Clone)]
pub struct Ring<T, const N: usize> {
    values: Vec<T>,
    next: usize,
}

impl<T: Clone + PartialOrd, const N: usize> Ring<T, N> {
    pub fn new() -> Self {
        Ring {
            values: Vec::with_capacity(N),
            next: 0,
        }
    }

    /// Takes a value in, over the oldest one.
    #[inline]
    pub fn push(&mut self, value: T) {
        if self.values.len() < N {
            self.values.push(value);
        } else {
            self.values[self.next] = value;
        }
        self.next = (self.next + 1) % N;
    }

    #[must_use]
    pub fn largest<'a>(&'a self) -> Option<&'a T> {
        let mut found: Option<&'a T> = None;
        for value in &self.values {
            match found {
                Some(best) if best >= value => {}
                _ => found = Some(value),
            }
        }
        found
    }
}

impl<T: fmt::Display, const N: usize> fmt::Display for Ring<T, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, value) in self.values.iter().enumerate() {
            if index > 0 {
                write!(f, ", ")?;
            }
            write!(f, "{}", value)?;
        }
        Ok(())
    }
}

pub fn count<'a, I>(words: I) -> HashMap<&'a str, usize>
where
    I: IntoIterator<Item = &'a str>,
{
    let mut counts = HashMap::new();
    for word in words {
        *counts.entry(word).or_insert(0) += 1;
    }
    counts
}

async fn fetch(url: &str) -> Result<String, Box<dyn std::error::Error>> {
    let text = format!("GET {url}
Host: example.org
");
    if text.is_empty() {
        return Err("nothing to send".into());
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn largest_of_three() {
        let mut ring: Ring<i32, 2> = Ring::new();
        ring.push(3);
        ring.push(1);
        assert_eq!(ring.largest(), Some(&3));
    }
}
