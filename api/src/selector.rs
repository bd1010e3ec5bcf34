//! Requirements on labels: the selector of a claim, and the node affinity of a volume. They are
//! evaluated as Kubernetes does.

/// A requirement on the value of one label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    /// The label.
    pub key: Box<str>,
    /// The operator.
    pub operator: Operator,
    /// The values that the operator compares with.
    pub values: Box<[Box<str>]>,
}

crate::text_enum! {
    /// A requirement on the value of a label.
    pub enum Operator {
        /// It is one of the values.
        In = "In",
        /// It is none of the values, or there is no such label.
        NotIn = "NotIn",
        /// There is such a label.
        Exists = "Exists",
        /// There is no such label.
        DoesNotExist = "DoesNotExist",
        /// It is an integer above the value.
        Gt = "Gt",
        /// It is an integer below the value.
        Lt = "Lt",
    }
}

impl Requirement {
    /// Reads a requirement. None if the operator is unknown: Kubernetes then lets nothing match.
    #[must_use]
    pub fn read<'a>(
        key: &str,
        operator: &str,
        values: impl Iterator<Item = &'a str>,
    ) -> Option<Self> {
        let operator = Operator::parse(operator)?;
        Some(Self { key: key.into(), operator, values: values.map(Into::into).collect() })
    }

    /// Returns the requirement that a label has one value.
    #[must_use]
    pub fn equals(key: &str, value: &str) -> Self {
        Self { key: key.into(), operator: Operator::In, values: [value.into()].into() }
    }

    /// Checks whether it holds for the value of its label; none if there is no such label.
    #[must_use]
    pub fn holds(&self, value: Option<&str>) -> bool {
        let is_among = |value: &str| self.values.iter().any(|known| **known == *value);
        match self.operator {
            Operator::In => value.is_some_and(is_among),
            Operator::NotIn => !value.is_some_and(is_among),
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
            Operator::Gt => self.bound(value).is_some_and(|(value, bound)| value > bound),
            Operator::Lt => self.bound(value).is_some_and(|(value, bound)| value < bound),
        }
    }

    /// Returns the value and the only value to compare it with, if both are integers.
    fn bound(&self, value: Option<&str>) -> Option<(i64, i64)> {
        let [bound] = &*self.values else { return None };
        Some((value?.parse().ok()?, bound.parse().ok()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_requirement_holds_as_in_kubernetes() {
        for (operator, values, value, holds) in [
            ("In", &["ssd", "nvme"][..], Some("nvme"), true),
            ("In", &["ssd", "nvme"], Some("hdd"), false),
            ("In", &["ssd"], None, false),
            ("NotIn", &["ssd"], Some("ssd"), false),
            ("NotIn", &["ssd"], Some("hdd"), true),
            ("NotIn", &["ssd"], None, true),
            ("Exists", &[], Some(""), true),
            ("Exists", &[], None, false),
            ("DoesNotExist", &[], Some("ssd"), false),
            ("DoesNotExist", &[], None, true),
            ("Gt", &["3"], Some("4"), true),
            ("Gt", &["3"], Some("3"), false),
            ("Gt", &["3"], Some("many"), false),
            ("Gt", &["3", "1"], Some("4"), false),
            ("Lt", &["3"], Some("-2"), true),
            ("Lt", &["3"], None, false),
        ] {
            let requirement = Requirement::read("disk", operator, values.iter().copied()).unwrap();
            assert_eq!(requirement.holds(value), holds, "{operator} {values:?} {value:?}");
        }
        assert_eq!(Requirement::read("disk", "Near", ["3"].into_iter()), None);
        assert!(Requirement::equals("disk", "ssd").holds(Some("ssd")));
    }
}
