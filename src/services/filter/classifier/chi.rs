//! Combining many weak opinions into one (R. A. Fisher's method, as G. Robinson proposed it for mail).

/// The probability that a message is unwanted, from the probabilities of its tokens. 0.5 when there are none, and also
/// when the tokens contradict each other.
pub fn combine(probabilities: &[f64]) -> f64 {
    if probabilities.is_empty() {
        return 0.5;
    }
    let degrees = probabilities.len() * 2;
    let wanted = -2.0 * probabilities.iter().map(|p| (1.0 - p).ln()).sum::<f64>();
    let unwanted = -2.0 * probabilities.iter().map(|p| p.ln()).sum::<f64>();
    let spam = 1.0 - tail(wanted, degrees);
    let ham = 1.0 - tail(unwanted, degrees);
    f64::midpoint(spam - ham, 1.0)
}

/// The probability that chi-square with an even number of degrees of freedom is at least `x`.
fn tail(x: f64, degrees: usize) -> f64 {
    let m = x / 2.0;
    // Summed as logarithms: e^-m is too small for a float long before the sum is.
    let mut term = -m;
    let mut sum = term.exp();
    for i in 1..degrees / 2 {
        term += (m / i as f64).ln();
        sum += term.exp();
    }
    sum.min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_itself() {
        assert!((combine(&[]) - 0.5).abs() < 1e-9);
        assert!((combine(&[0.5, 0.5]) - 0.5).abs() < 1e-9);
        assert!(combine(&[0.99; 30]) > 0.9999);
        assert!(combine(&[0.01; 30]) < 0.0001);
        let mixed: Vec<f64> = [0.99; 20].into_iter().chain([0.01; 20]).collect();
        assert!((combine(&mixed) - 0.5).abs() < 0.01);
        assert!(combine(&[0.999; 5000]).is_finite());
    }

    #[test]
    fn known_values() {
        // From tables: chi-square 3.84 with 2 degrees of freedom, 18.31 with 10.
        assert!((tail(5.991, 2) - 0.05).abs() < 1e-3);
        assert!((tail(18.307, 10) - 0.05).abs() < 1e-3);
    }
}
