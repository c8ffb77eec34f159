"""Invented people, the same ones for the same seed.

`seeding` puts them into the lists.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

_FIRST = [
    "Aarav",
    "Aditi",
    "Ananya",
    "Arjun",
    "Bhavna",
    "Chitra",
    "Deepa",
    "Devan",
    "Esha",
    "Farhan",
    "Gauri",
    "Harish",
    "Indira",
    "Ishaan",
    "Jaya",
    "Kabir",
    "Kavya",
    "Lakshmi",
    "Leela",
    "Manish",
    "Meera",
    "Mohan",
    "Naveen",
    "Neha",
    "Omkar",
    "Pooja",
    "Pranav",
    "Radha",
    "Rahul",
    "Riya",
    "Rohan",
    "Sahana",
    "Sanjay",
    "Shreya",
    "Suresh",
    "Tara",
    "Uma",
    "Varun",
    "Vidya",
    "Yash",
    "Zoya",
]
_LAST = [
    "Achar",
    "Bhatt",
    "Chandran",
    "Desai",
    "Dutta",
    "Gokhale",
    "Gupta",
    "Hegde",
    "Iyer",
    "Jain",
    "Joshi",
    "Kamath",
    "Kapoor",
    "Kulkarni",
    "Menon",
    "Mishra",
    "Naidu",
    "Nair",
    "Pai",
    "Patel",
    "Pillai",
    "Rao",
    "Reddy",
    "Saxena",
    "Sen",
    "Shah",
    "Sharma",
    "Shetty",
    "Sinha",
    "Tiwari",
    "Varma",
    "Yadav",
]
_COMPANY_A = ["Example", "Sample", "Fictional", "Imaginary", "Placeholder", "Pretend", "Invented", "Specimen"]
_COMPANY_B = [
    "Traders",
    "Textiles",
    "Logistics",
    "Foods",
    "Motors",
    "Clinics",
    "Tools",
    "Travels",
    "Press",
    "Farms",
]
_JOBS = ("Owner", "Buyer", "Accountant", "Manager", "Engineer", "Dispatcher", "Reception", "Sales")


@dataclass(frozen=True, slots=True)
class Person:
    """An invented person."""

    digits: str  #: the phone number: ten digits, without the country code
    first_name: str
    last_name: str
    email: str
    company: str
    job_title: str
    address: str

    @property
    def name(self) -> str:
        """The first and last name."""
        return f"{self.first_name} {self.last_name}"


def number(n: int) -> str:
    """The n-th invented number (from 0): ten digits, `92000xxxxx` for the first 100,000. All differ."""
    block, rest = divmod(n, 100_000)
    return str(9_200_000_000 + block * 100_000 + (rest * 7_919 + 12_345) % 100_000)


def people(seed: int, start: int, count: int) -> list[Person]:
    """`count` people with the numbers from `start` on. The seed decides everything else."""
    chance = random.Random(f"{seed}:{start}")
    made = []
    for n in range(start, start + count):
        first, last = chance.choice(_FIRST), chance.choice(_LAST)
        company = f"{chance.choice(_COMPANY_A)} {chance.choice(_COMPANY_B)}"
        made.append(
            Person(
                digits=number(n),
                first_name=first,
                last_name=last,
                email=f"{first}.{last}{n}@example.com".lower(),
                company=company,
                job_title=chance.choice(_JOBS),
                address=f"{chance.randint(1, 99)} Nowhere Street, Sampleton",
            )
        )
    return made
