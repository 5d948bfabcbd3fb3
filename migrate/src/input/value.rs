//! The tree of typed values that every format is read into.
//!
//! Equal data in different encodings give equal values: an ObjectId is the same from `.bson`, from `{"$oid":"…"}` and
//! from v1. A number that is neither an `i64` nor as programs write an `f64` stays text, as [`Value::Decimal`].

/// One value of a row.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Null,
    Bool(bool),
    /// A whole number of 64 bits: int32 and int64 of MongoDB, whole numbers of JSON and DynamoDB.
    Int(i64),
    /// A binary floating-point number, not always finite.
    Double(f64),
    /// The exact text of a number that is neither: Decimal128, DynamoDB's fractions, integers beyond 64 bits, JSON
    /// numbers with more than 17 digits. It may be `NaN`, `Infinity` or `-Infinity`, if the source has a Decimal128 of
    /// that name.
    Decimal(String),
    Text(String),
    /// MongoDB's twelve bytes.
    ObjectId([u8; 12]),
    /// Sixteen bytes of a binary of subtype 4, or of subtype 3. **Drivers wrote subtype 3 in three byte orders**, so
    /// the bytes are as stored, and only the operator can say which UUID is meant.
    Uuid {
        subtype: u8,
        bytes: [u8; 16],
    },
    /// Milliseconds since 1970, before it negative.
    Date(i64),
    Binary {
        subtype: u8,
        bytes: Vec<u8>,
    },
    Array(Vec<Value>),
    /// A set of DynamoDB, in the order of the file.
    Set(Vec<Value>),
    Document(Document),
    /// A type that no migration carries over: MongoDB's regular expressions, timestamps, code, symbols, `minKey`,
    /// `maxKey`, `undefined` and database pointers. `kind` names the type; `text` is the value in a form for people.
    Other {
        kind: &'static str,
        text: String,
    },
}

impl Value {
    /// A binary of MongoDB, or a UUID if it is one by subtype and length.
    pub(crate) fn binary(subtype: u8, bytes: Vec<u8>) -> Value {
        match <[u8; 16]>::try_from(bytes.as_slice()) {
            Ok(bytes) if matches!(subtype, 3 | 4) => Value::Uuid { subtype, bytes },
            _ => Value::Binary { subtype, bytes },
        }
    }

    /// The type's name, for messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Value::Null => "null",
            Value::Bool(_) => "bool",
            Value::Int(_) => "int",
            Value::Double(_) => "double",
            Value::Decimal(_) => "decimal",
            Value::Text(_) => "string",
            Value::ObjectId(_) => "ObjectId",
            Value::Uuid { .. } => "UUID",
            Value::Date(_) => "date",
            Value::Binary { .. } => "binary",
            Value::Array(_) => "array",
            Value::Set(_) => "set",
            Value::Document(_) => "document",
            Value::Other { kind, .. } => kind,
        }
    }
}

/// Fields in the order of the source. No name occurs twice.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Document(Vec<(String, Value)>);

impl Document {
    /// The caller has looked for [`duplicate`]s.
    pub(crate) fn new(fields: Vec<(String, Value)>) -> Document {
        Document(fields)
    }

    /// The field of this name, which may contain dots.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.iter().find(|(field, _)| field == name).map(|(_, value)| value)
    }

    /// Names and values in the order of the source.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The index of the first name that occurred before.
pub(crate) fn duplicate<T: AsRef<str>>(names: &[T]) -> Option<usize> {
    let mut sorted: Vec<usize> = (0..names.len()).collect();
    sorted.sort_by_key(|at| (names[*at].as_ref(), *at));
    sorted.windows(2).filter(|pair| names[pair[0]].as_ref() == names[pair[1]].as_ref()).map(|pair| pair[1]).min()
}

/// One step of a path into a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Name(String),
    Index(usize),
}

/// The values at a dotted path, each with the steps to it. As in MongoDB's queries, a name goes into every document of
/// an array, and a number is an index of an array or a name.
pub(crate) fn find<'a>(document: &'a Document, path: &str) -> Vec<(Vec<Step>, &'a Value)> {
    let names: Vec<&str> = path.split('.').collect();
    let mut found = Vec::new();
    in_document(document, &names, &mut Vec::new(), &mut found);
    found
}

fn in_document<'a>(
    document: &'a Document,
    names: &[&str],
    steps: &mut Vec<Step>,
    found: &mut Vec<(Vec<Step>, &'a Value)>,
) {
    let Some((name, rest)) = names.split_first() else { return };
    if let Some(value) = document.get(name) {
        steps.push(Step::Name((*name).to_owned()));
        in_value(value, rest, steps, found);
        steps.pop();
    }
}

fn in_value<'a>(value: &'a Value, names: &[&str], steps: &mut Vec<Step>, found: &mut Vec<(Vec<Step>, &'a Value)>) {
    match (value, names.first()) {
        (_, None) => found.push((steps.clone(), value)),
        (Value::Document(document), Some(_)) => in_document(document, names, steps, found),
        (Value::Array(values), Some(name)) => {
            let index = name.parse().ok().filter(|index| *index < values.len());
            if let Some(index) = index {
                steps.push(Step::Index(index));
                in_value(&values[index], &names[1..], steps, found);
                steps.pop();
                return;
            }
            for (index, value) in values.iter().enumerate() {
                if let Value::Document(document) = value {
                    steps.push(Step::Index(index));
                    in_document(document, names, steps, found);
                    steps.pop();
                }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_of_two_equal_names_is_found() {
        assert_eq!(duplicate(&["a", "b", "c"]), None);
        assert_eq!(duplicate(&["b", "a", "c", "a", "b"]), Some(3));
        assert_eq!(duplicate::<&str>(&[]), None);
    }

    #[test]
    fn a_path_goes_into_every_document_of_an_array() {
        let id = |id: i64| Value::Document(Document::new(vec![("id".to_owned(), Value::Int(id))]));
        let members = Value::Array(vec![id(1), Value::Null, id(2)]);
        let document = Document::new(vec![("members".to_owned(), members)]);
        let values = |path| find(&document, path).into_iter().map(|(_, value)| value.clone()).collect::<Vec<_>>();
        assert_eq!(values("members.id"), [Value::Int(1), Value::Int(2)]);
        assert_eq!(values("members.2.id"), [Value::Int(2)]);
        assert_eq!(values("members.1.id"), []);
        assert_eq!(values("members.7.id"), []);
        assert_eq!(values("none"), []);
    }
}
