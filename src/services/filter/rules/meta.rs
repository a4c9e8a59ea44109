//! Meta rules: arithmetic and logic over the hits of other rules.

/// An expression. Numbers are hits; everything but 0 is true.
#[derive(Debug, Clone, PartialEq)]
pub enum Expression {
    /// A number.
    Number(f64),
    /// The hits of a rule, by name.
    Rule(String),
    /// `!x`.
    Not(Box<Self>),
    /// `-x`.
    Minus(Box<Self>),
    /// `x op y`.
    Pair(Box<Self>, Operator, Box<Self>),
}

/// Operators of two sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    /// `||`
    Or,
    /// `&&`
    And,
    /// `==`
    Equal,
    /// `!=`
    Unequal,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
    /// `+`
    Plus,
    /// `-`
    Minus,
    /// `*`
    Times,
    /// `/`
    Over,
}

/// What more hits of a rule make of the value of an expression that it stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Never less.
    Raises,
    /// Never more.
    Lowers,
    /// Either.
    Unclear,
}

impl Effect {
    const fn turned(self) -> Self {
        match self {
            Self::Raises => Self::Lowers,
            Self::Lowers => Self::Raises,
            Self::Unclear => Self::Unclear,
        }
    }
}

/// Deepest nesting of an expression.
const MAX_DEPTH: usize = 100;
/// Longest expression in names, numbers and operators.
const MAX_TOKENS: usize = 2000;

impl Expression {
    /// Reads an expression with Perl's precedence; the error says what is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        let tokens = tokens(text)?;
        if tokens.len() > MAX_TOKENS {
            return Err(format!("the expression has more than {MAX_TOKENS} pieces"));
        }
        let mut parser = Parser { tokens: &tokens, at: 0 };
        let expression = parser.pair(0, 0)?;
        match parser.tokens.get(parser.at) {
            None => Ok(expression),
            Some(token) => Err(format!("`{token}` was not expected in the expression")),
        }
    }

    /// The value, given the hits of each rule.
    pub fn value(&self, hits: &impl Fn(&str) -> f64) -> f64 {
        match self {
            Self::Number(number) => *number,
            Self::Rule(name) => hits(name),
            Self::Not(inner) => truth(inner.value(hits) == 0.0),
            Self::Minus(inner) => -inner.value(hits),
            Self::Pair(left, Operator::Or, right) => truth(left.value(hits) != 0.0 || right.value(hits) != 0.0),
            Self::Pair(left, Operator::And, right) => truth(left.value(hits) != 0.0 && right.value(hits) != 0.0),
            Self::Pair(left, operator, right) => operator.apply(left.value(hits), right.value(hits)),
        }
    }

    /// Calls `visit` with the name of every rule in it, and what that rule's hits make of the value.
    pub fn rules<'e>(&'e self, visit: &mut impl FnMut(&'e str, Effect)) {
        self.rules_within(Effect::Raises, visit);
    }

    fn rules_within<'e>(&'e self, effect: Effect, visit: &mut impl FnMut(&'e str, Effect)) {
        match self {
            Self::Number(_) => {}
            Self::Rule(name) => visit(name, effect),
            Self::Not(inner) | Self::Minus(inner) => inner.rules_within(effect.turned(), visit),
            Self::Pair(left, operator, right) => {
                let (of_left, of_right) = match operator {
                    Operator::Or | Operator::And | Operator::Plus => (effect, effect),
                    Operator::Minus | Operator::Greater | Operator::GreaterOrEqual => (effect, effect.turned()),
                    Operator::Less | Operator::LessOrEqual => (effect.turned(), effect),
                    Operator::Equal | Operator::Unequal | Operator::Times | Operator::Over => {
                        (Effect::Unclear, Effect::Unclear)
                    }
                };
                left.rules_within(of_left, visit);
                right.rules_within(of_right, visit);
            }
        }
    }
}

fn truth(value: bool) -> f64 {
    if value { 1.0 } else { 0.0 }
}

impl Operator {
    fn apply(self, a: f64, b: f64) -> f64 {
        match self {
            Self::Or => truth(a != 0.0 || b != 0.0),
            Self::And => truth(a != 0.0 && b != 0.0),
            Self::Equal => truth((a - b).abs() < f64::EPSILON),
            Self::Unequal => truth((a - b).abs() >= f64::EPSILON),
            Self::Less => truth(a < b),
            Self::LessOrEqual => truth(a <= b),
            Self::Greater => truth(a > b),
            Self::GreaterOrEqual => truth(a >= b),
            Self::Plus => a + b,
            Self::Minus => a - b,
            Self::Times => a * b,
            // Rules divide by counts that may be zero.
            Self::Over => {
                if b == 0.0 {
                    0.0
                } else {
                    a / b
                }
            }
        }
    }

    const fn binding(self) -> u8 {
        match self {
            Self::Or => 1,
            Self::And => 2,
            Self::Equal | Self::Unequal => 3,
            Self::Less | Self::LessOrEqual | Self::Greater | Self::GreaterOrEqual => 4,
            Self::Plus | Self::Minus => 5,
            Self::Times | Self::Over => 6,
        }
    }

    fn of(token: &str) -> Option<Self> {
        Some(match token {
            "||" | "|" | "or" => Self::Or,
            "&&" | "&" | "and" => Self::And,
            "==" => Self::Equal,
            "!=" => Self::Unequal,
            "<" => Self::Less,
            "<=" => Self::LessOrEqual,
            ">" => Self::Greater,
            ">=" => Self::GreaterOrEqual,
            "+" => Self::Plus,
            "-" => Self::Minus,
            "*" => Self::Times,
            "/" => Self::Over,
            _ => return None,
        })
    }
}

fn tokens(text: &str) -> Result<Vec<String>, String> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(c) = rest.chars().next() {
        let length = match c {
            c if c.is_ascii_alphabetic() || c == '_' => {
                rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len())
            }
            c if c.is_ascii_digit() || c == '.' => {
                rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len())
            }
            _ if ["&&", "||", "==", "!=", "<=", ">="].iter().any(|t| rest.starts_with(t)) => 2,
            '(' | ')' | '!' | '<' | '>' | '+' | '-' | '*' | '/' | '&' | '|' => 1,
            c => return Err(format!("`{c}` has no meaning in an expression")),
        };
        tokens.push(rest[..length].to_owned());
        rest = rest[length..].trim_start();
    }
    Ok(tokens)
}

struct Parser<'t> {
    tokens: &'t [String],
    at: usize,
}

impl Parser<'_> {
    fn pair(&mut self, least: u8, depth: usize) -> Result<Expression, String> {
        if depth > MAX_DEPTH {
            return Err("the expression is nested too deeply".to_owned());
        }
        let mut left = self.single(depth)?;
        while let Some(operator) = self.tokens.get(self.at).and_then(|t| Operator::of(t)) {
            if operator.binding() < least {
                break;
            }
            self.at += 1;
            let right = self.pair(operator.binding() + 1, depth + 1)?;
            left = Expression::Pair(Box::new(left), operator, Box::new(right));
        }
        Ok(left)
    }

    fn single(&mut self, depth: usize) -> Result<Expression, String> {
        if depth > MAX_DEPTH {
            return Err("the expression is nested too deeply".to_owned());
        }
        let Some(token) = self.tokens.get(self.at) else { return Err("the expression ends too early".to_owned()) };
        self.at += 1;
        match token.as_str() {
            "!" | "not" => Ok(Expression::Not(Box::new(self.single(depth + 1)?))),
            "-" => Ok(Expression::Minus(Box::new(self.single(depth + 1)?))),
            "+" => self.single(depth + 1),
            "(" => {
                let inner = self.pair(0, depth + 1)?;
                if self.tokens.get(self.at).map(String::as_str) != Some(")") {
                    return Err("a closing parenthesis is missing".to_owned());
                }
                self.at += 1;
                Ok(inner)
            }
            token if token.starts_with(|c: char| c.is_ascii_digit() || c == '.') => {
                token.parse().map(Expression::Number).map_err(|_| format!("`{token}` is not a number"))
            }
            token if token.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') => {
                if self.tokens.get(self.at).map(String::as_str) == Some("(") {
                    return Err(format!("the function `{token}` is not supported in expressions"));
                }
                Ok(Expression::Rule(token.to_owned()))
            }
            token => Err(format!("`{token}` was not expected in the expression")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn computes() {
        let hits = |name: &str| match name {
            "A" => 1.0,
            "B" => 0.0,
            "C" => 3.0,
            _ => 0.0,
        };
        for (text, wanted) in [
            ("A && !B", 1.0),
            ("A && B || C", 1.0),
            ("(A + B + C) > 3", 1.0),
            ("A + C * 2 == 7", 1.0),
            ("C - A - 1", 1.0),
            ("!A || !C", 0.0),
            ("A / B", 0.0),
            ("C >= 3 && C < 4 && __X_1 != 1", 1.0),
            ("-A + 1", 0.0),
            ("A & C", 1.0),
        ] {
            assert!((Expression::parse(text).unwrap().value(&hits) - wanted).abs() < 1e-9, "{text}");
        }
    }

    #[test]
    fn says_what_is_wrong() {
        for text in ["", "A &&", "(A", "A B", "A ? B", "rules_matching(X)", "1.2.3"] {
            assert!(Expression::parse(text).is_err(), "{text}");
        }
        assert!(Expression::parse(&"(".repeat(10_000)).is_err());
        assert!(Expression::parse(&"!".repeat(10_000)).is_err());
    }
}
